-- Write checked steps: nothing → ready (no dependencies) or blocked. Fenced by the plan's revision.
-- ARGV[3] job id, [4] revision that this builds on, [5] job status after it, [6] event type, [7] event data,
-- then twelve a step: see `write_step`
-- Reply: 1 written | 0 stale or the job is final
local job = open_job(ARGV[3])
local facts = redis.call('HMGET', job.key, 'status', 'revision', 'order')
if (facts[1] ~= 'pending' and facts[1] ~= 'in_progress') or facts[2] ~= ARGV[4] then return 0 end

redis.call('HINCRBY', job.key, 'revision', 1)
redis.call('HSET', job.key, 'status', ARGV[5])
redis.call('HDEL', job.key, 'plan')
redis.call('HDEL', job.big, 'plan')
emit(job, ARGV[6], nil, nil, ARGV[7])
local order, count = { facts[3] }, 0
for at = 8, #ARGV, 12 do
  local step, free = write_step(job, at)
  order[#order + 1] = step
  count = count + 1
  if free then
    redis.call('HSET', job.steps, 'q:' .. step, ms(now))
    to_ready(job, step)
  else await_join(job, step) end
end
redis.call('HINCRBY', job.key, 'open', count)
redis.call('HINCRBY', job.key, 'total', count)
redis.call('HSET', job.key, 'order', table.concat(order, ' '))
return 1
