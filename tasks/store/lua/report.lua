-- Write events of a running attempt; a stale attempt writes nothing.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, then two an event: type, data
-- Reply: 1 written | 0 stale
local job, step, attempt = open_job(ARGV[4]), ARGV[5], ARGV[6]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step)
if not may(ARGV[3], facts[1]) or facts[2] ~= attempt then return 0 end
for at = 7, #ARGV, 2 do emit(job, ARGV[at], step, attempt, ARGV[at + 1]) end
return 1
