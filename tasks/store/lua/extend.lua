-- Write checked steps: nothing → ready (no dependencies) or blocked. Fenced by the plan's revision.
-- ARGV[3] job id, [4] revision that this builds on, [5] job status after it, [6] event type, [7] event data,
-- [8] when the answer is to wait for another plan, once all that it rests on has ended: short (a last step that is not
-- optional has no result) | always | '' (never),
-- then twelve a step: see `write_step`. One that is there already, and blocked, is written anew: it waits for others now.
-- Reply: 1 written | 0 stale, the job is final, or a step that is there is not blocked
local job = open_job(ARGV[3])
local facts = redis.call('HMGET', job.key, 'status', 'revision', 'order')
if (facts[1] ~= 'pending' and facts[1] ~= 'in_progress') or facts[2] ~= ARGV[4] then return 0 end

local there = {}
for step in string.gmatch(facts[3], '%S+') do there[step] = true end
for at = 9, #ARGV, 12 do
  if there[ARGV[at]] and redis.call('HGET', job.steps, 's:' .. ARGV[at]) ~= 'blocked' then return 0 end
end

local function without(list, step)
  local kept = {}
  for one in string.gmatch(list or '', '%S+') do if one ~= step then kept[#kept + 1] = one end end
  return table.concat(kept, ' ')
end

-- Steps that are there learn who depends on them from now on, and who no longer does: they may be tried again by hand.
local function relink(step, needs)
  for before in string.gmatch(redis.call('HGET', job.steps, 'i:' .. step) or '', '%S+') do
    redis.call('HSET', job.steps, 'd:' .. before, without(redis.call('HGET', job.steps, 'd:' .. before), step))
  end
  for before in string.gmatch(needs, '%S+') do
    if there[before] then
      local after = without(redis.call('HGET', job.steps, 'd:' .. before), step)
      redis.call('HSET', job.steps, 'd:' .. before, (after == '' and '' or after .. ' ') .. step)
    end
  end
end

redis.call('HINCRBY', job.key, 'revision', 1)
redis.call('HSET', job.key, 'status', ARGV[5])
redis.call('HDEL', job.key, 'plan', 'replan')
if ARGV[8] ~= '' then redis.call('HSET', job.key, 'replan', ARGV[8]) end
redis.call('HDEL', job.big, 'plan')
emit(job, ARGV[6], nil, nil, ARGV[7])
local order, count = facts[3], 0
for at = 9, #ARGV, 12 do
  relink(ARGV[at], ARGV[at + 3])
  local step, free = write_step(job, at)
  if there[step] then order = without(order, step) else count = count + 1 end
  order = order .. ' ' .. step
  local counts = redis.call('HMGET', job.steps, 'r:' .. step, 'o:' .. step, 'j:' .. step, 'K:' .. step)
  local early = tonumber(counts[2]) > 0 -- what it depends on may have succeeded before, in the job that this is a fork of
    and joined(counts[3], tonumber(counts[1]), tonumber(counts[2]), true, false, counts[4])
  if free or early then
    redis.call('HSET', job.steps, 'q:' .. step, ms(now))
    to_ready(job, step)
  else await_join(job, step) end
end
redis.call('HINCRBY', job.key, 'open', count)
redis.call('HINCRBY', job.key, 'total', count)
redis.call('HSET', job.key, 'order', order)
return 1
