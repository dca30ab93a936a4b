-- Remember who is told when a job has ended. Stands alone, without the prelude. Registered again it is replaced.
-- KEYS[1] hash of the hook, KEYS[2] sorted set: job → its next turn
-- ARGV[1] job id, [2] url, [3] secret or '', [4] until when, Unix ms, [5] ms until it is looked after
-- Reply: 1
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'url', ARGV[2], 'secret', ARGV[3], 'taken', '0', 'tries', '0')
redis.call('PEXPIREAT', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[5])), ARGV[1])
return 1
