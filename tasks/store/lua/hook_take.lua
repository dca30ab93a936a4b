-- Take hooks that are due, for the time of a lease: who dies with one leaves it to another process. Stands alone.
-- KEYS[1] sorted set: job → its next turn
-- ARGV[1] what keys of hooks begin with, [2] how many at most, [3] ms of the lease
-- Reply: list of {job, flat fields of its hook}; those whose hook is gone, or was overwritten, are dropped
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local found = {}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[2])
for _, job in ipairs(due) do
  local key = ARGV[1] .. job
  if redis.call('TYPE', key).ok ~= 'hash' then
    redis.call('ZREM', KEYS[1], job)
  else
    local taken = (tonumber(redis.call('HGET', key, 'taken')) or 0) + 1
    redis.call('HSET', key, 'taken', string.format('%.0f', taken))
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), job)
    found[#found + 1] = { job, redis.call('HGETALL', key) }
  end
end
return found
