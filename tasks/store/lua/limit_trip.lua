-- Opens the circuit of a key: nobody calls with it until then, and then one call at first. Stands alone.
-- KEYS[1] circuit
-- ARGV[1] ms, [2] 1 when the provider told that time, else 0, [3] what was said, [4] ms that it is kept afterwards
-- Reply: 1
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[1]), 'known', ARGV[2], 'said', ARGV[3])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[1] + ARGV[4]))
return 1
