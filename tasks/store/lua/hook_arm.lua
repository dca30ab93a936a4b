-- A job has ended: its hook is due, once for each end. Stands alone, without the prelude.
-- KEYS[1] hash of the hook, KEYS[2] sorted set: job → its next turn
-- ARGV[1] job id, [2] which end it is, [3] what is sent, [4] ms that the hook is kept from now on, at least
-- Reply: 1; 0 when there is no hook, or this end is known
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' or redis.call('HGET', KEYS[1], 'about') == ARGV[2] then return 0 end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local armed = string.format('%.0f', now)
-- who still sends of an earlier end has no say any more
local taken = (tonumber(redis.call('HGET', KEYS[1], 'taken')) or 0) + 1
redis.call('HSET', KEYS[1], 'about', ARGV[2], 'body', ARGV[3], 'armed', armed, 'tries', '0')
redis.call('HSET', KEYS[1], 'taken', string.format('%.0f', taken))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
redis.call('ZADD', KEYS[2], armed, ARGV[1])
return 1
