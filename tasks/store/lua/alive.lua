-- Announcements of the processes that are alive. Stands alone, without the prelude.
-- KEYS[1] hash of announcements, KEYS[2] sorted set of their ends
-- Reply: their announcements, in the order of their names
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local names = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%.0f', now), '+inf')
table.sort(names)
local reply = {}
for _, name in ipairs(names) do reply[#reply + 1] = redis.call('HGET', KEYS[1], name) end
return reply
