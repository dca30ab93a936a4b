-- Write checked steps: nothing → ready (no dependencies) or blocked. Fenced by the plan's revision.
-- ARGV[3] job id, [4] revision that this builds on, [5] job status after it, [6] event type, [7] event data,
-- then nine a step: id, kind, join, dependencies, dependents (both blank-separated), spec, queue,
-- its most ms in the queue, of the whole step (0: any)
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
for at = 8, #ARGV, 9 do
  local step, kind, join, needs, children, spec = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local missing = 0
  for _ in string.gmatch(needs, '%S+') do missing = missing + 1 end
  redis.call('HSET', job.specs, step, spec)
  redis.call('HSET', job.steps, 's:' .. step, 'blocked', 'k:' .. step, kind, 'j:' .. step, join,
    'i:' .. step, needs, 'd:' .. step, children, 'r:' .. step, missing, 'o:' .. step, 0, 'Q:' .. step, ARGV[at + 6])
  limit(job, step, ARGV[at + 7], ARGV[at + 8])
  order[#order + 1] = step
  count = count + 1
  if missing == 0 then
    redis.call('HSET', job.steps, 'q:' .. step, ms(now))
    to_ready(job, step)
  end
end
redis.call('HINCRBY', job.key, 'open', count)
redis.call('HINCRBY', job.key, 'total', count)
redis.call('HSET', job.key, 'order', table.concat(order, ' '))
return 1
