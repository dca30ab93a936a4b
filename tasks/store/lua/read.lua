-- A job, at one moment. Stands alone, without the prelude. A script, since MULTI is refused at `maxmemory` also for reads.
-- KEYS hashes
-- Reply: for each of them its fields and values, in turn
local reply = {}
for _, key in ipairs(KEYS) do reply[#reply + 1] = redis.call('HGETALL', key) end
return reply
