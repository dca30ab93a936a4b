-- Set when the next attempt may begin: delayed → delayed with a time, or → ready at once.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt that ended, [7] delay ms
-- Reply: 1 done | 0 stale | 2 the step or the job would be over by then | 3 its time is over; then nothing was changed
local job, step, attempt, delay = open_job(ARGV[4]), ARGV[5], ARGV[6], tonumber(ARGV[7])
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'T:' .. step)
if not may(ARGV[3], facts[1]) or facts[2] ~= attempt then return 0 end
if redis.call('ZSCORE', timers, job.id .. ':' .. step) then return 0 end
local ends = earliest(tonumber(redis.call('HGET', job.key, 'deadline')), facts[3])
local shown = now_of(job)
if shown >= ends then return 3 end
if shown + delay >= ends then return 2 end
count('r', redis.call('HGET', job.steps, 'Q:' .. step), 1)
emit(job, 'step_retrying', step, attempt, '{"delay_ms":' .. ms(delay) .. '}')
if delay <= 0 then to_ready(job, step) else redis.call('ZADD', timers, ms(now + delay), job.id .. ':' .. step) end
return 1
