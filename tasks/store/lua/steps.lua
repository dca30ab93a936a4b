-- What several moves have in common: a step ends, an attempt falters, a job ends. Stands after admission.

-- The limits of a step to come, ms; 0: none. Those that are none take no room.
local function limit(job, step, queue_ms, total_ms)
  if queue_ms ~= '0' then redis.call('HSET', job.steps, 'y:' .. step, queue_ms)
  else redis.call('HDEL', job.steps, 'y:' .. step, 'e:' .. step) end
  if total_ms ~= '0' then redis.call('HSET', job.steps, 'z:' .. step, total_ms) end
end

-- Writes a checked step: nothing → ready or blocked. What it depends on and has ended before is not waited for.
-- Twelve arguments from `at` on: id, kind, join, dependencies, dependents (both blank-separated), spec, queue, its most ms
-- in the queue, of the whole step (0: any), how many must succeed where they join by quorum, '1': others do without it,
-- decision: what it says is how to go on, and nothing for the answer to rest on,
-- its most ms of waiting for them (0: any). Reply: its id, whether it is to be ready
local function write_step(job, at)
  local step, rest, good, join_ms = ARGV[at], 0, 0, ARGV[at + 11]
  for before in string.gmatch(ARGV[at + 3], '%S+') do
    local status = redis.call('HGET', job.steps, 's:' .. before)
    if status == 'succeeded' then good = good + 1
    elseif not status or is_open(status) then rest = rest + 1 end
  end
  redis.call('HSET', job.specs, step, ARGV[at + 5])
  redis.call('HSET', job.steps, 's:' .. step, 'blocked', 'k:' .. step, ARGV[at + 1], 'j:' .. step, ARGV[at + 2],
    'i:' .. step, ARGV[at + 3], 'd:' .. step, ARGV[at + 4], 'r:' .. step, rest, 'o:' .. step, good,
    'Q:' .. step, ARGV[at + 6])
  if ARGV[at + 9] ~= '0' then redis.call('HSET', job.steps, 'K:' .. step, ARGV[at + 9]) end
  if ARGV[at + 10] == 'decision' then redis.call('HSET', job.steps, 'N:' .. step, '1')
  elseif ARGV[at + 10] ~= '' then redis.call('HSET', job.steps, 'O:' .. step, '1') end
  limit(job, step, ARGV[at + 7], ARGV[at + 8])
  if join_ms ~= '0' then redis.call('HSET', job.steps, 'J:' .. step, join_ms) end
  return step, rest == 0
end

-- Begins the time that a blocked step waits for those that it depends on, if it has one.
local function await_join(job, step)
  local most = redis.call('HGET', job.steps, 'J:' .. step)
  if most then redis.call('ZADD', timers, ms(now + tonumber(most)), job.id .. ':' .. step) end
end

close_step = function(job, step, status)
  if status == 'cancelled' then -- also in the middle of an attempt, which then has no other end
    local was = redis.call('HMGET', job.steps, 's:' .. step, 't:' .. step)
    if was[1] == 'running' then count_time('a', 'cancelled ' .. agent_of(job, step), now - tonumber(was[2])) end
  end
  redis.call('HSET', job.steps, 's:' .. step, status, 'f:' .. step, ms(now))
  count('s', status .. ' ' .. agent_of(job, step), 1)
  redis.call('HINCRBY', job.key, 'open', -1)
  redis.call('HINCRBY', job.key, 'done', 1)
  redis.call('ZREM', timers, job.id .. ':' .. step)
  lose_calls(job, step)
  release(job, step)
  part_family(job, step)
end

-- Notes an attempt that has ended. rest: further fields of its record, as JSON that begins with a comma.
local function end_attempt(job, step, attempt, outcome, rest)
  local was = redis.call('HMGET', job.steps, 'w:' .. step, 't:' .. step)
  keep(job, 'a:' .. step .. ':' .. attempt, '{"step":"' .. step .. '","number":' .. attempt ..
    ',"outcome":"' .. outcome .. '","worker":' .. cjson.encode(was[1]) .. ',"started_at":' .. was[2] ..
    ',"finished_at":' .. ms(now) .. rest .. '}')
  count_time('a', outcome .. ' ' .. agent_of(job, step), now - tonumber(was[2]))
end

-- A step begins anew: nothing is held against it, and one attempt number is left out (u counts those), so that
-- whatever is still on its way about it is stale.
local function fresh(job, step)
  redis.call('HINCRBY', job.steps, 'a:' .. step, 1)
  redis.call('HINCRBY', job.steps, 'u:' .. step, 1)
  redis.call('HDEL', job.steps, 'n:' .. step, 'x:' .. step)
  forget_waits(job, step)
end

-- A job was submitted, or has ended.
local function count_job(job, status)
  local facts = redis.call('HMGET', job.key, 'tenant', 'created')
  count('j', status, 1)
  if status ~= 'submitted' then count_time('jt', '', now - tonumber(facts[2])) end
  if facts[1] and facts[1] ~= '' then count('tj:' .. status, facts[1], 1) end
end

-- Ends the job: open steps are cancelled, the retention clock starts. O(steps), once in a job's life.
local function finish_job(job, status, failure)
  leave_lines(job)
  if tonumber(redis.call('HGET', job.key, 'open') or '0') > 0 then
    for step in string.gmatch(redis.call('HGET', job.key, 'order') or '', '%S+') do
      if is_open(redis.call('HGET', job.steps, 's:' .. step)) then
        close_step(job, step, 'cancelled')
        emit(job, 'step_cancelled', step)
      end
    end
  end
  redis.call('HSET', job.key, 'status', status, 'finished', ms(now), 'failure', failure or '')
  redis.call('HDEL', job.key, 'paused', 'left')
  count_job(job, status)
  uncount('jobs', 1)
  uncount('J:' .. (redis.call('HGET', job.key, 'tenant') or ''), 1)
  redis.call('ZREM', timers, job.id)
  local data = '"status":"' .. status .. '"'
  if failure and failure ~= '' then data = data .. ',"failure":' .. failure end
  emit(job, 'job_finished', nil, nil, '{' .. data .. '}')
  end_turn(job, status, failure)
  redis.call('XADD', base .. 'finished', 'MAXLEN', '~', 10000, '*', 'job', job.id)
  local kept = redis.call('HMGET', job.key, 'keep', 'idem')
  for _, key in ipairs(keys_of(job)) do redis.call('PEXPIRE', key, kept[1]) end
  if is_remembered(job, kept[2]) then redis.call('PEXPIRE', kept[2], kept[1]) end
end

-- The job has until then, and is kept for so long after it. idem: its idempotency key, if any. O(1)
local function live_until(job, deadline, keeps, idem)
  local expires = ms(deadline + keeps)
  redis.call('HSET', job.key, 'deadline', ms(deadline), 'expires', expires)
  redis.call('ZADD', timers, ms(deadline), job.id)
  stay_listed(job, expires)
  for _, key in ipairs(keys_of(job)) do redis.call('PEXPIREAT', key, expires) end
  if is_remembered(job, idem) then redis.call('PEXPIREAT', idem, expires) end
  reopen_turn(job, deadline)
end

-- Whether a step that was given up had found something that the answer can rest on: it ran out of budget, not of luck.
local function leaves_something(job, step)
  local facts = redis.call('HMGET', job.results, 'f:' .. step, 'p:' .. step)
  return facts[1] and facts[2] and cjson.decode(facts[1])['code'] == 'budget_spent'
end

local function no_result(job, step)
  local failure = redis.call('HGET', job.results, 'f:' .. step)
  local reason = 'nothing it depends on succeeded'
  if failure then
    local fact = cjson.decode(failure)
    reason = 'step ' .. step .. ': ' .. fact['message']
  end
  return cjson.encode({ code = 'no_result', message = 'no step gave a result to answer from; ' .. reason,
                        retryable = false })
end

-- Whether a blocked step now runs, or is skipped. rest: dependencies that have not ended; good: that succeeded;
-- bad: whether one that is not optional ended without success; won: whether any step of the plan left something
-- for the answer to rest on: it is written also when no last step succeeded; late: its time has passed, one success is enough.
-- It is skipped when all have ended and not before: else the answer behind it would be written, and the job end, under
-- those that are still at work.
local function joined(join, rest, good, bad, won, quorum, late)
  local early = join == 'any' or join == 'quorum' or late
  local least = join == 'quorum' and not late and tonumber(quorum or '1') or 1
  local runs = early and good >= least
  if rest == 0 then
    runs = runs or not bad or (join == 'best_effort' and (good > 0 or won))
  end
  return runs, rest == 0 and not runs
end

-- Whether the answer waits for another plan, now that all that it rests on has ended: then the orchestrator is told.
local function replans(job, answer, bad)
  local wish = redis.call('HGET', job.key, 'replan')
  if wish ~= 'always' and not (wish == 'short' and bad) then return false end
  tell('replan_wanted', job, answer, 0)
  return true
end

-- A step has ended: count it for those that depend on it; ready, skip (and go on from there) or wait. O(changes).
local function advance(job, ended)
  local cause, work = ended, { ended }
  while #work > 0 do
    local step = table.remove(work)
    local ok = redis.call('HGET', job.steps, 's:' .. step) == 'succeeded'
    local excused = ok or redis.call('HGET', job.steps, 'O:' .. step) == '1'
    for child in string.gmatch(redis.call('HGET', job.steps, 'd:' .. step) or '', '%S+') do
      local rest = redis.call('HINCRBY', job.steps, 'r:' .. child, -1)
      local good = redis.call('HINCRBY', job.steps, 'o:' .. child, ok and 1 or 0)
      if not excused then redis.call('HINCRBY', job.steps, 'B:' .. child, 1) end
      local now_is = redis.call('HMGET', job.steps, 's:' .. child, 'j:' .. child, 'k:' .. child, 'B:' .. child,
        'K:' .. child, 'L:' .. child)
      local answers = now_is[3] == 'synthesis'
      local won = good == 0 and answers and redis.call('HGET', job.key, 'won') ~= '0'
      local runs, skips = joined(now_is[2], rest, good, now_is[4] or answers, won, now_is[5], now_is[6])
      local waits = answers and now_is[1] == 'blocked' and rest == 0 and replans(job, child, now_is[4])
      if now_is[1] == 'blocked' and runs and not waits then
        to_ready(job, child)
      elseif now_is[1] == 'blocked' and skips and not waits then
        close_step(job, child, 'skipped')
        emit(job, 'step_skipped', child)
        work[#work + 1] = child
        if now_is[3] == 'synthesis' then return finish_job(job, 'failed', no_result(job, cause)) end
      end
    end
  end
end

-- The attempt ended without success; what follows is the orchestrator's decision.
local function falter(job, step, attempt, outcome, usage, failure)
  redis.call('HSET', job.steps, 's:' .. step, 'delayed')
  if outcome == 'lost' then redis.call('HINCRBY', job.steps, 'x:' .. step, 1)
  elseif outcome == 'failed' then redis.call('HINCRBY', job.steps, 'n:' .. step, 1) end
  redis.call('ZREM', timers, job.id .. ':' .. step)
  lose_calls(job, step)
  release(job, step)
  end_attempt(job, step, attempt, outcome, ',"usage":' .. usage .. ',"failure":' .. failure)
  emit(job, 'step_faltered', step, attempt, '{"failure":' .. failure .. '}')
  tell('attempt_ended', job, step, attempt, failure)
end
