-- No further attempt: ready, dispatched or delayed → failed; dependents run without it or are skipped.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt that ended or was never claimed, [7] failure
-- Reply: 1 done | 0 stale
local job, step, attempt = open_job(ARGV[4]), ARGV[5], ARGV[6]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'k:' .. step)
if not may(ARGV[3], facts[1]) or (facts[2] or '0') ~= attempt then return 0 end
keep(job, 'f:' .. step, ARGV[7])
close_step(job, step, 'failed')
emit(job, 'step_failed', step, nil, '{"failure":' .. ARGV[7] .. '}')
if facts[3] == 'work' then advance(job, step) else finish_job(job, 'failed', ARGV[7]) end
return 1
