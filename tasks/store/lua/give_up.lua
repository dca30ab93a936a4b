-- No further attempt: ready, dispatched or delayed → failed; dependents run without it or are skipped.
-- It goes onto the list of the dead, from where it can be retried by hand.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt that ended or was never claimed, [7] failure,
-- [8] ms after which no job is kept any more
-- Reply: 1 done | 0 stale
local job, step, attempt = open_job(ARGV[4]), ARGV[5], ARGV[6]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'k:' .. step)
if not may(ARGV[3], facts[1]) or (facts[2] or '0') ~= attempt then return 0 end
if facts[1] == 'ready' then leave_line(job, step) end
redis.call('ZADD', base .. 'dead', ms(now), job.id .. ':' .. step)
redis.call('ZREMRANGEBYSCORE', base .. 'dead', '-inf', ms(now - tonumber(ARGV[8])))
keep(job, 'f:' .. step, ARGV[7])
close_step(job, step, 'failed')
emit(job, 'step_failed', step, nil, '{"failure":' .. ARGV[7] .. '}')
if facts[3] == 'work' and leaves_something(job, step) then redis.call('HINCRBY', job.key, 'won', 1) end
if facts[3] == 'work' then advance(job, step) else finish_job(job, 'failed', ARGV[7]) end
return 1
