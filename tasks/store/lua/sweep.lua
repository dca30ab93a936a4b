-- Act on due timers: an expired lease → delayed (lost), a due retry → ready, an unclaimed message → looked at by the
-- orchestrator, a wait that is too long → told to the orchestrator, a passed deadline → job failed, a join whose time has
-- passed → ready if there is a result.
-- ARGV[3] sources of lose, [4] sources of resume, [5] sources of republish, [6] at most this many,
-- [7] ms until an unclaimed message is looked at again, [8] failure of a lost attempt, [9] failure of a passed deadline
-- [10] most steps of a tenant in flight (0: any), [11] sources of give_up,
-- [12] failure of a job whose record is damaged, [13] sources of wake, [14] of unblock,
-- then two a queue: its name, its window of slots
-- Reply: {how many timers were due (at most [6]); the caller comes again at once when it was the most,
-- ms until the next one is due, -1: there is none,
-- then three for each record that is not as we write it: its timer, ended (its job has failed) | aside (it is left as it
-- is, in the list of the damaged), what was wrong}
redis.call('HSET', load, 'TL', ARGV[10])
for at = 15, #ARGV, 2 do redis.call('HSET', load, 'W:' .. ARGV[at], ARGV[at + 1]) end
grant_all()

-- A step that nobody takes: tells of it when its wait, or the whole of it, has been too long.
local function overdue(job, step, status, attempt)
  local facts = redis.call('HMGET', job.steps, 'T:' .. step, 'z:' .. step, 'e:' .. step, 'y:' .. step)
  local function past(ends, limit, code)
    if not ends or tonumber(ends) > now then return false end
    local waited = now - tonumber(ends) + tonumber(limit or '0')
    tell('step_overdue', job, step, attempt or '0', status .. ' ' .. code .. ' ' .. ms(waited))
    return true
  end
  return past(facts[1], facts[2], 'deadline_passed') or past(facts[3], facts[4], 'queue_timeout')
end

-- A parked step: what has expired has come to nothing; a step whose whole time has passed is given up.
local function look_at_waits(job, step, attempt, member)
  for key in keys_waited_for(job, step) do
    local expires = redis.call('HGET', job.waits, wait_field('x', step, key))
    if expires and tonumber(expires) <= now then set_outcome(job, step, key, '{"kind":"expired"}') end
  end
  if redis.call('HGET', job.steps, 's:' .. step) ~= 'parked' then return end
  local _, first = open_waits(job, step)
  local ends = tonumber(redis.call('HGET', job.steps, 'T:' .. step) or nil)
  if overdue(job, step, 'parked', attempt) then first = now + tonumber(ARGV[7])
  elseif ends then first = earliest(ends, first) end
  if first then redis.call('ZADD', timers, ms(first), member) else redis.call('ZREM', timers, member) end
end

-- A step has waited long enough for those that it depends on: from now on one result is enough.
local function end_join(job, step, member)
  redis.call('ZREM', timers, member)
  redis.call('HSET', job.steps, 'L:' .. step, '1')
  if tonumber(redis.call('HGET', job.steps, 'o:' .. step)) > 0 then to_ready(job, step) end
end

local function fail(job, failure)
  local status = redis.call('HGET', job.key, 'status')
  if status == 'pending' or status == 'in_progress' then finish_job(job, 'failed', failure) end
end

local function act(member)
  local split = string.find(member, ':', 1, true)
  local job = open_job(split and string.sub(member, 1, split - 1) or member)
  if not split then
    redis.call('ZREM', timers, member)
    fail(job, ARGV[9])
  else
    local step = string.sub(member, split + 1)
    local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'q:' .. step, 'Q:' .. step)
    if may(ARGV[3], facts[1]) then
      falter(job, step, facts[2], 'lost', '{}', ARGV[8])
    elseif may(ARGV[4], facts[1]) then
      to_ready(job, step)
    elseif may(ARGV[13], facts[1]) then
      look_at_waits(job, step, facts[2], member)
    elseif may(ARGV[14], facts[1]) then
      end_join(job, step, member)
    elseif may(ARGV[11], facts[1]) and overdue(job, step, facts[1], facts[2]) then
      redis.call('ZADD', timers, ms(now + tonumber(ARGV[7])), member)
    elseif may(ARGV[5], facts[1]) then
      local ends = redis.call('HMGET', job.steps, 'e:' .. step, 'T:' .. step)
      redis.call('ZADD', timers, ms(earliest(now + tonumber(ARGV[7]), ends[1], ends[2])), member)
      -- Queues are first in, first out: one that a much later message has overtaken is lost.
      local latest = tonumber(redis.call('HGET', load, 'C:' .. facts[4]) or '0')
      local overtaken = latest > tonumber(facts[3]) + tonumber(ARGV[7]) / 2
      tell('step_unclaimed', job, step, facts[2], ms(now - tonumber(facts[3])) .. (overtaken and ' overtaken' or ''))
    else
      redis.call('ZREM', timers, member)
    end
  end
end

-- What is not as we write it takes its job along, or is left to people: it must not stop the timers behind it.
local function set_aside(member)
  local job = open_job(string.match(member, '^[^:]*'))
  redis.call('ZREM', timers, member)
  local ended = pcall(fail, job, ARGV[12])
  if not ended then damage(member) end
  return ended and 'ended' or 'aside'
end

local due = redis.call('ZRANGEBYSCORE', timers, '-inf', ms(now), 'LIMIT', 0, ARGV[6])
local reply = { #due, '' }
for _, member in ipairs(due) do
  local fine, wrong = pcall(act, member)
  if not fine then
    for _, one in ipairs({ member, set_aside(member), type(wrong) == 'table' and wrong.err or tostring(wrong) }) do
      reply[#reply + 1] = one
    end
  end
end
local first = redis.call('ZRANGE', timers, 0, 0, 'WITHSCORES')
reply[2] = first[2] and ms(math.max(tonumber(first[2]) - now, 0)) or '-1'
return reply
