-- One process says that it is alive; those that have gone silent are dropped. Stands alone, without the prelude.
-- KEYS[1] hash of announcements, KEYS[2] sorted set of their ends
-- ARGV[1] process name, [2] announcement, or '' to leave, [3] ms that it holds
-- Reply: how many are alive
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))) do
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
end
return redis.call('ZCARD', KEYS[2])
