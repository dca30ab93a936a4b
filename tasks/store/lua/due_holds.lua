-- Holds that nobody has looked at for a time, for one who does now. Stands alone.
-- KEYS[1] sorted set of holds: tenant:job → looked at, Unix ms
-- ARGV[1] ms since the last look, [2] most of them
-- Reply: their members
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local latest = string.format('%.0f', now - tonumber(ARGV[1]))
local found = redis.call('ZRANGE', KEYS[1], '-inf', latest, 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, member in ipairs(found) do redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now), member) end
return found
