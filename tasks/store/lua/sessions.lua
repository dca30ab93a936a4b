-- Sessions: conversations that outlive their jobs. Stands after waits. A session lives in the slot of its jobs; one of
-- them runs at a time, others wait in its line.
-- <session>  agent, status, created, updated, version (its changes) · seq, number of its last message · calls, of its
--            last tool call · ttl · until, kept till then at least · most, messages kept · running, a job · line, jobs
--            that wait, blank-separated · metadata (JSON) · t:<name> its task state (JSON)
-- :messages  stream, ids <seq>-0: role, at, content, meta, job · :calls  stream, ids <number>-0: at, call
-- Fields of a job: session · turn, number of its message · answer, of its answer · back, its message is taken back

local function open_session(id)
  local key = string.sub(base, 1, -5) .. 'session:' .. id
  return { id = id, key = key, messages = key .. ':messages', calls = key .. ':calls' }
end

local sessions_index = string.sub(base, 1, -5) .. 'session:index'

-- Reply: whether it was made just now
local function make_session(session, agent, ttl, most)
  if redis.call('HSETNX', session.key, 'created', ms(now)) == 0 then
    redis.call('HSET', session.key, 'ttl', ttl, 'most', most)
    return false
  end
  redis.call('HSET', session.key, 'agent', agent, 'status', 'pending', 'version', 0, 'seq', 0, 'calls', 0,
    'ttl', ttl, 'most', most)
  return true
end

-- It was changed: one version more, and its lifetime begins anew. Every script that changes one ends with this.
local function keep_session(session)
  local facts = redis.call('HMGET', session.key, 'ttl', 'until')
  local ends = math.max(now + tonumber(facts[1]), tonumber(facts[2] or '0'))
  redis.call('HSET', session.key, 'updated', ms(now))
  local version = redis.call('HINCRBY', session.key, 'version', 1)
  for _, key in ipairs({ session.key, session.messages, session.calls }) do redis.call('PEXPIREAT', key, ms(ends)) end
  redis.call('ZADD', sessions_index, ms(ends), session.id)
  redis.call('ZREMRANGEBYSCORE', sessions_index, '-inf', ms(now))
  return version
end

-- Adds a message at the end; its number. O(1)
local function say(session, role, content, meta, job, at)
  local seq = redis.call('HINCRBY', session.key, 'seq', 1)
  redis.call('XADD', session.messages, 'MAXLEN', '~', redis.call('HGET', session.key, 'most'), seq .. '-0',
    'role', role, 'at', at or ms(now), 'content', content, 'meta', meta, 'job', job or '')
  return seq
end

local function unsay(session, seq) redis.call('XDEL', session.messages, seq .. '-0') end

local function goes_on(id)
  local status = redis.call('HGET', base .. id, 'status')
  return status == 'pending' or status == 'in_progress'
end

-- Jobs that wait for their turn, without one that has left.
local function line_of(session, without)
  local line = {}
  for id in string.gmatch(redis.call('HGET', session.key, 'line') or '', '%S+') do
    if id ~= without then line[#line + 1] = id end
  end
  return line
end

-- It is a waiting job's turn: its first step is ready, or its plan is proposed.
local function begin_turn(session, id)
  local job = open_job(id)
  redis.call('HSET', session.key, 'running', id, 'status', 'in_progress')
  local first = redis.call('HGET', job.key, 'order')
  if first == '' then return tell('plan_proposed', job, '', 0) end
  redis.call('HSET', job.steps, 'q:' .. first, ms(now))
  to_ready(job, first)
end

local function next_turn(session)
  local line = line_of(session)
  local id = table.remove(line, 1)
  while id and not goes_on(id) do id = table.remove(line, 1) end
  redis.call('HSET', session.key, 'line', table.concat(line, ' '))
  if id then begin_turn(session, id) else redis.call('HDEL', session.key, 'running', 'until') end
  return id
end

-- The job whose turn it is. One that ended unseen (an older release ended it, or it was forgotten) holds up nobody.
local function running_turn(session)
  local running = redis.call('HGET', session.key, 'running')
  if running and not goes_on(running) then return next_turn(session) end
  return running
end

-- A job of a session was accepted, with the user's message: it begins, or waits for its turn. Reply: whether it begins
local function take_turn(session, job, content, meta, ends)
  redis.call('HSET', job.key, 'session', session.id, 'turn', say(session, 'user', content, meta, job.id))
  local begins = not redis.call('HGET', session.key, 'running')
  if begins then redis.call('HSET', session.key, 'running', job.id, 'status', 'in_progress')
  else
    local line = line_of(session)
    line[#line + 1] = job.id
    redis.call('HSET', session.key, 'line', table.concat(line, ' '))
  end
  local before = tonumber(redis.call('HGET', session.key, 'until') or '0')
  redis.call('HSET', session.key, 'until', ms(math.max(before, ends + tonumber(redis.call('HGET', session.key, 'ttl')))))
  keep_session(session)
  return begins
end

-- The answer of a job that ends; of one that was reopened it takes the place of the earlier one.
local function answer_turn(job, content, meta)
  local of_job = redis.call('HMGET', job.key, 'session', 'answer')
  local session = of_job[1] and open_session(of_job[1])
  if not session or redis.call('EXISTS', session.key) == 0 then return end
  if of_job[2] then unsay(session, of_job[2]) end
  redis.call('HSET', job.key, 'answer', say(session, 'assistant', content, meta, job.id))
end

local function note_of(status, failure)
  local text, code = 'This request was cancelled.', ''
  local known, fact = pcall(cjson.decode, failure or '')
  if known and type(fact) == 'table' and fact['code'] then
    code = fact['code']
    if status == 'failed' then text = 'This request failed: ' .. code .. ': ' .. (fact['message'] or '') end
  end
  return cjson.encode({ { type = 'text', text = text } }), cjson.encode({ status = status, code = code })
end

-- A job of a session has ended: what came of it is said where there is no answer, and the next one has its turn.
local function end_turn(job, status, failure)
  local of_job = redis.call('HMGET', job.key, 'session', 'turn', 'back', 'answer')
  local session = of_job[1] and open_session(of_job[1])
  if not session or redis.call('EXISTS', session.key) == 0 then return end
  if of_job[3] then unsay(session, of_job[2])
  elseif status ~= 'completed' then
    local content, meta = note_of(status, failure)
    if of_job[4] then unsay(session, of_job[4]) end
    redis.call('HSET', job.key, 'answer', say(session, 'system', content, meta, job.id))
  end
  if redis.call('HGET', session.key, 'running') == job.id then
    redis.call('HSET', session.key, 'status', status)
    next_turn(session)
  else redis.call('HSET', session.key, 'line', table.concat(line_of(session, job.id), ' ')) end
  keep_session(session)
end

-- A job of a session goes on after it had ended. It does not wait for its turn: whoever reopened it wants it now.
local function reopen_turn(job, ends)
  local id = redis.call('HGET', job.key, 'session')
  local session = id and open_session(id)
  if not session or redis.call('EXISTS', session.key) == 0 then return end
  if not running_turn(session) then redis.call('HSET', session.key, 'running', job.id, 'status', 'in_progress') end
  local before = tonumber(redis.call('HGET', session.key, 'until') or '0')
  redis.call('HSET', session.key, 'until', ms(math.max(before, ends + tonumber(redis.call('HGET', session.key, 'ttl')))))
  keep_session(session)
end

-- Takes all open jobs of a session out of their turns; the caller ends them.
local function clear_turns(session, back)
  local open, running = line_of(session), redis.call('HGET', session.key, 'running')
  if running then table.insert(open, 1, running) end
  redis.call('HDEL', session.key, 'running', 'line', 'until')
  local jobs = {}
  for _, id in ipairs(open) do
    if goes_on(id) then
      jobs[#jobs + 1] = open_job(id)
      if back then redis.call('HSET', base .. id, 'back', 1) end
    end
  end
  return jobs
end
