-- One window of counted tool calls. Stands alone, without the prelude.
-- KEYS[1] what the keys begin with, as in count_calls.lua
-- ARGV[1] seconds of a window, [2] its number; '' for that of now
-- Reply: {now, Unix s; number of the window; its fields and values in turn}
local now = tonumber(redis.call('TIME')[1])
local number = ARGV[2] ~= '' and ARGV[2] or string.format('%.0f', math.floor(now / tonumber(ARGV[1])))
return { now, number, redis.call('HGETALL', KEYS[1] .. ':' .. ARGV[1] .. ':' .. number) }
