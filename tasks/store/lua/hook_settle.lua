-- Say what came of a hook that was taken. Nothing happens once it was taken again, or its job has ended anew. Alone.
-- KEYS[1] hash of the hook, KEYS[2] sorted set: job → its next turn
-- ARGV[1] job id, [2] number of the taking, [3] ms until its next turn; -1: none, [4] '1': it counts as a try
-- Reply: 1, or 0 when it was not to be settled
if redis.call('HGET', KEYS[1], 'taken') ~= ARGV[2] then return 0 end
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[1], 'tries', string.format('%.0f', (tonumber(redis.call('HGET', KEYS[1], 'tries')) or 0) + 1))
end
local wait = tonumber(ARGV[3])
if wait < 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 1
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', KEYS[2], string.format('%.0f', now + wait), ARGV[1])
return 1
