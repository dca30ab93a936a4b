-- Try steps again that were given up, also when the job has ended since: failed → ready; what waited for them, or was
-- done without them, → blocked (and on from there by the rule of `advance`); the job goes on. O(steps).
-- KEYS[3] idempotency key of the job, or the job's own key when it has none
-- ARGV[3] sources of reopen, [4] sources of restore, [5] job id, [6] timeout of the job from now, ms,
-- [7] most open jobs, [8] most open jobs of a tenant (0: any),
-- then two a step: id, attempt that it was given up with
-- Reply: '' done | gone | cancelled | closing (the answer is being written) | not_dead <step> | full jobs | full tenant
-- | child <step> (all were done for other steps)
-- | alone (what they would lead to cannot run: the answer would be written without them)
local job = open_job(ARGV[5])
local of_job = redis.call('HMGET', job.key, 'status', 'order', 'won', 'tenant', 'keep')
if not of_job[1] then return 'gone' end
if of_job[1] == 'cancelled' then return 'cancelled' end
local final, wanted, names, answer_only, parts = of_job[1] == 'completed' or of_job[1] == 'failed', {}, {}, true, true
for at = 9, #ARGV, 2 do
  local step, facts = ARGV[at], redis.call('HMGET', job.steps, 's:' .. ARGV[at], 'a:' .. ARGV[at], 'k:' .. ARGV[at],
    'p:' .. ARGV[at])
  if not may(ARGV[3], facts[1]) or (facts[2] or '0') ~= ARGV[at + 1] then return 'not_dead ' .. step end
  wanted[step], answer_only = true, answer_only and facts[3] == 'synthesis'
  parts = parts and facts[4]
  names[#names + 1] = step
end
if parts then return 'child ' .. names[1] end -- nobody would look at their results

-- First what each step will be; the order is a topological one, so what it depends on is known.
local was, will, kinds, rests, goods, bads, order, status = {}, {}, {}, {}, {}, {}, {}, 'pending'
local won = tonumber(of_job[3])
for step in string.gmatch(of_job[2], '%S+') do
  local facts = redis.call('HMGET', job.steps, 's:' .. step, 'k:' .. step, 'j:' .. step, 'i:' .. step, 'K:' .. step,
    'L:' .. step, 'p:' .. step)
  local kind, needs, rest, good, bad = facts[2], 0, 0, 0, 0
  for before in string.gmatch(facts[4] or '', '%S+') do
    needs = needs + 1
    if not was[before] then needs = needs - 1 -- its child: it stands behind it
    elseif is_open(will[before]) then rest = rest + 1
    elseif will[before] == 'succeeded' then good = good + 1
    elseif redis.call('HGET', job.steps, 'O:' .. before) ~= '1' then bad = bad + 1 end
  end
  order[#order + 1] = step
  was[step], will[step], kinds[step], rests[step], goods[step], bads[step] = facts[1], facts[1], kind, rest, good, bad
  local early = facts[3] == 'any' or facts[3] == 'quorum' or facts[6]
  local undone = facts[1] == 'succeeded' and rest > 0 and not early
  local missed = facts[1] == 'skipped' or facts[1] == 'cancelled'
  if facts[7] then -- nobody waits for it any more: whoever delegated it goes on without it, or delegates anew
  elseif kind == 'synthesis' then
    status = 'in_progress'
    if is_open(facts[1]) and facts[1] ~= 'blocked' then return 'closing' end
    local runs = joined(facts[3], rest, good, true, won > 0)
    if wanted[step] and (answer_only or not runs) then will[step] = runs and 'ready' or 'blocked'
    elseif rest == 0 then return 'alone'
    else will[step] = 'blocked' end
  elseif wanted[step] then
    will[step] = 'ready'
    if leaves_something(job, step) then won = won - 1 end
  elseif may(ARGV[4], facts[1]) and (undone or missed) and not answer_only then
    local runs = joined(facts[3], rest, good, bad > 0, false, facts[5])
    local never = bad > 0 and (facts[3] == 'all' or good + rest < tonumber(facts[5] or '1'))
    will[step] = (needs == 0 or runs) and 'ready' or never and 'skipped' or 'blocked'
    if undone and kind == 'work' and redis.call('HEXISTS', job.steps, 'N:' .. step) == 0 then won = won - 1 end
  end
end

local full = final and is_full(of_job[4] or '', ARGV[7], ARGV[8]) -- it would be open again, as a submitted one
if full then return 'full ' .. full end

-- A conversation goes on where it was interrupted: not on inputs that are made anew, nor where it killed its workers.
local function of_poison(step)
  local failure = redis.call('HGET', job.results, 'f:' .. step)
  return failure and cjson.decode(failure)['code'] == 'poison'
end

local opened, ready = 0, {}
for _, step in ipairs(order) do
  redis.call('HSET', job.steps, 'r:' .. step, rests[step], 'o:' .. step, goods[step])
  if bads[step] > 0 then redis.call('HSET', job.steps, 'B:' .. step, bads[step])
  else redis.call('HDEL', job.steps, 'B:' .. step) end
  if will[step] ~= was[step] then
    if was[step] ~= 'skipped' then fresh(job, step) end
    if rests[step] > 0 or of_poison(step) then rewind(job, step, 0) end
    redis.call('HDEL', job.steps, 'f:' .. step, 'T:' .. step)
    if not wanted[step] then redis.call('HDEL', job.steps, 'L:' .. step) end
    redis.call('HDEL', job.results, 'r:' .. step, 'f:' .. step, 'p:' .. step)
    redis.call('HDEL', job.big, 'r:' .. step)
    redis.call('ZREM', base .. 'dead', job.id .. ':' .. step)
    if is_open(will[step]) then
      redis.call('HSET', job.steps, 's:' .. step, 'blocked', 'q:' .. step, ms(now))
      opened = opened + 1
      if will[step] == 'ready' then ready[#ready + 1] = step else await_join(job, step) end
    else
      redis.call('HSET', job.steps, 's:' .. step, will[step], 'f:' .. step, ms(now))
      emit(job, 'step_skipped', step)
    end
  end
end

redis.call('HINCRBY', job.key, 'open', opened)
redis.call('HINCRBY', job.key, 'done', -opened)
redis.call('HSET', job.key, 'won', won)
if final then
  redis.call('HSET', job.key, 'status', status)
  redis.call('HDEL', job.key, 'finished', 'failure')
  list_job(job, of_job[4] or '', tonumber(ARGV[6]) + tonumber(of_job[5]))
  redis.call('HINCRBY', load, 'jobs', 1)
  redis.call('HINCRBY', load, 'J:' .. (of_job[4] or ''), 1)
  live_until(job, now + tonumber(ARGV[6]), tonumber(of_job[5]), KEYS[3] ~= job.key and KEYS[3] or nil)
else
  status = of_job[1]
end
emit(job, 'job_reopened', nil, nil, cjson.encode({ status = status, steps = names }))
for _, step in ipairs(ready) do to_ready(job, step) end
return ''
