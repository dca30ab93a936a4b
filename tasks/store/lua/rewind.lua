-- Forget the end of a running attempt's journal: what follows is to be done anew.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, [7] entries that stay
-- Reply: '' | status of the step when the attempt is over
local job, step = open_job(ARGV[4]), ARGV[5]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step)
if facts[2] ~= ARGV[6] then return facts[1] and 'superseded' or 'gone' end
if not may(ARGV[3], facts[1]) then return facts[1] end
rewind(job, step, tonumber(ARGV[7]))
return ''
