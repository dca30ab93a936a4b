-- A session, at one moment. Stands alone, without the prelude. O(what is read).
-- KEYS[1] session, [2] its messages, [3] its tool calls
-- ARGV[1] most messages, [2] most calls: the newest ones
-- Reply: {fields and values, messages, calls: newest first}
local function newest(key, count) return count == '0' and {} or redis.call('XREVRANGE', key, '+', '-', 'COUNT', count) end
return { redis.call('HGETALL', KEYS[1]), newest(KEYS[2], ARGV[1]), newest(KEYS[3], ARGV[2]) }
