-- Admission: which ready steps may go out. Stands after the prelude.
-- A queue has a window of slots (its workers' capacity, or a limit); a ready step takes one and is told to the
-- orchestrator, or waits. A slot that comes free goes to the waiting job that has had least, weighed by priority
-- (start-time fair queueing): one wide job cannot hold up the others, and none starves. O(1) a step.
-- load: W:q window, F:q steps in flight, N:q waiting, V:q virtual time, T:tenant in flight, TL limit of a tenant,
-- C:q dispatch time of the latest message that was claimed
-- q:line sorted set of jobs by virtual time; job:wait:q list of its waiting steps

local load, waits = base .. 'load', base .. 'waits'

-- Counts down what is there. A count of nothing takes no room: tenants come and go.
local function uncount(field, by)
  if redis.call('HINCRBY', load, field, -by) == 0 then redis.call('HDEL', load, field) end
end

-- What has as many open jobs as it may have: jobs (the fleet) | tenant; nil: neither.
local function is_full(tenant, most, most_of_tenant)
  local open = redis.call('HMGET', load, 'jobs', 'J:' .. tenant)
  if tonumber(open[1] or '0') >= tonumber(most) then return 'jobs' end
  if most_of_tenant ~= '0' and tonumber(open[2] or '0') >= tonumber(most_of_tenant) then return 'tenant' end
end

-- Lists a job, for all and for its tenant: the newest last. The tenant's list goes when none of it can be kept any more.
-- index: job → listed; index:of:tenant the same; tenants: tenant → its last one listed
local function list_job(job, tenant, lasts)
  local own = base .. 'index:of:' .. tenant
  redis.call('ZADD', base .. 'index', ms(now), job.id)
  redis.call('ZADD', own, ms(now), job.id)
  redis.call('ZADD', base .. 'tenants', ms(now), tenant)
  if redis.call('PTTL', own) < lasts then redis.call('PEXPIRE', own, ms(lasts)) end
end

-- Lists one that was paused for so long that it has left the lists; where it is on them it stays as it is.
local function stay_listed(job, expires)
  if redis.call('ZADD', base .. 'index', 'NX', ms(now), job.id) == 1 then
    list_job(job, redis.call('HGET', job.key, 'tenant') or '', tonumber(expires) - now)
  end
end

local function unlist_job(job, tenant)
  redis.call('ZREM', base .. 'index', job.id)
  if tenant then redis.call('ZREM', base .. 'index:of:' .. tenant, job.id) end
end

local function has_room(job, queue)
  local of_job = redis.call('HMGET', job.key, 'tenant', 'flying', 'cap')
  local facts = redis.call('HMGET', load, 'W:' .. queue, 'F:' .. queue, 'TL', 'T:' .. (of_job[1] or ''))
  local function below(count, limit) return not limit or limit == '0' or tonumber(count or '0') < tonumber(limit) end
  if facts[1] and tonumber(facts[2] or '0') >= tonumber(facts[1]) then return false, false end
  return below(facts[4], facts[3]) and below(of_job[2], of_job[3]), true
end

local function take_slot(job, step, queue)
  redis.call('HSET', job.steps, 'g:' .. step, 1)
  redis.call('HINCRBY', load, 'F:' .. queue, 1)
  redis.call('HINCRBY', load, 'T:' .. (redis.call('HGET', job.key, 'tenant') or ''), 1)
  redis.call('HINCRBY', job.key, 'flying', 1)
  local attempt = tonumber(redis.call('HGET', job.steps, 'a:' .. step) or '0') + 1
  tell('step_ready', job, step, attempt)
end

local function share(job) return 2 ^ (5 - tonumber(redis.call('HGET', job.key, 'priority') or '5')) end

local function queue_up(job, step, queue)
  local list = job.key .. ':wait:' .. queue
  if redis.call('RPUSH', list, step) == 1 then
    redis.call('PEXPIREAT', list, redis.call('HGET', job.key, 'expires'))
    local turn = math.max(tonumber(redis.call('HGET', load, 'V:' .. queue) or '0'),
                          tonumber(redis.call('HGET', job.key, 'v:' .. queue) or '0'))
    redis.call('ZADD', base .. queue .. ':line', turn + share(job), job.id)
  end
  redis.call('HINCRBY', load, 'N:' .. queue, 1)
  redis.call('SADD', waits, queue)
end

-- Lets the first in line have a slot; false when the queue has none.
local function grant_one(job, queue, line, turn)
  local list = job.key .. ':wait:' .. queue
  local room, slots = has_room(job, queue)
  if not slots then return false end
  local step = room and redis.call('LPOP', list)
  if step then
    uncount('N:' .. queue, 1)
    redis.call('HSET', load, 'V:' .. queue, turn)
    redis.call('HSET', job.key, 'v:' .. queue, turn)
    local is = redis.call('HMGET', job.steps, 's:' .. step, 'g:' .. step)
    if is[1] == 'ready' and not is[2] then take_slot(job, step, queue) end
  end
  if redis.call('EXISTS', list) == 0 then redis.call('ZREM', line, job.id)
  elseif step then redis.call('ZADD', line, turn + share(job), job.id)
  else -- behind those that wait now, no further: it may be looked at a thousand times before it has room again
    local last = redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')
    redis.call('ZADD', line, tonumber(last[2]) + 1e-6, job.id)
  end
  return true
end

-- Gives free slots of a queue to waiting jobs in turn; one that is at its own or its tenant's limit goes behind.
local function grant(queue)
  local line = base .. queue .. ':line'
  for _ = 1, 100 do
    local first = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
    if not first[1] then
      redis.call('SREM', waits, queue)
      return
    end
    local job = open_job(first[1])
    local fine, slots = pcall(grant_one, job, queue, line, tonumber(first[2]))
    if not fine then -- it must not stop those behind it, in whatever move this is
      local list = job.key .. ':wait:' .. queue
      local count = redis.pcall('LLEN', list)
      if type(count) == 'number' and count > 0 then uncount('N:' .. queue, count) end
      redis.call('DEL', list)
      redis.call('ZREM', line, job.id)
      damage(job.id)
    elseif not slots then return end
  end
end

local function grant_all()
  for _, queue in ipairs(redis.call('SMEMBERS', waits)) do grant(queue) end
end

-- A ready step that waits for a slot no longer does.
local function leave_line(job, step)
  local queue = redis.call('HGET', job.steps, 'Q:' .. step)
  local list = job.key .. ':wait:' .. queue
  if redis.call('LREM', list, 1, step) == 0 then return end
  uncount('N:' .. queue, 1)
  hide(queue, job.id .. ':' .. step)
  if redis.call('EXISTS', list) == 0 then redis.call('ZREM', base .. queue .. ':line', job.id) end
end

local function release(job, step)
  if redis.call('HDEL', job.steps, 'g:' .. step) == 0 then return end
  local queue = redis.call('HGET', job.steps, 'Q:' .. step)
  hide(queue, job.id .. ':' .. step)
  uncount('F:' .. queue, 1)
  uncount('T:' .. (redis.call('HGET', job.key, 'tenant') or ''), 1)
  redis.call('HINCRBY', job.key, 'flying', -1)
  if redis.call('EXISTS', waits) == 1 then grant_all() end
end

-- A job has ended: what it has waiting goes.
local function leave_lines(job)
  for _, queue in ipairs(redis.call('SMEMBERS', waits)) do
    local list = job.key .. ':wait:' .. queue
    local steps = redis.call('LRANGE', list, 0, -1)
    if #steps > 0 then
      for _, step in ipairs(steps) do hide(queue, job.id .. ':' .. step) end
      redis.call('DEL', list)
      redis.call('ZREM', base .. queue .. ':line', job.id)
      uncount('N:' .. queue, #steps)
    end
  end
end

-- The clocks of a step that becomes ready: of its wait for a worker, and with its first time of the whole step.
local function start_clocks(job, step, wait, total, ends)
  local due = tonumber(ends or nil)
  if total and not due then
    due = earliest(now + tonumber(total), redis.call('HGET', job.steps, 'Z:' .. step))
    redis.call('HSET', job.steps, 'T:' .. step, ms(due))
  end
  if wait then
    local waits = now + tonumber(wait)
    redis.call('HSET', job.steps, 'e:' .. step, ms(waits))
    due = earliest(waits, due)
  end
  if due then redis.call('ZADD', timers, ms(due), job.id .. ':' .. step)
  else redis.call('ZREM', timers, job.id .. ':' .. step) end
end

-- A job may be told to begin so many steps of work and no more: the others are held, blocked, until it goes on.
-- Counts a step when it begins; what was begun is tried again, wakes, and has children, freely.
local function is_held(job, step)
  local allowed = redis.call('HGET', job.key, 'allow')
  if not allowed then return false end
  local facts = redis.call('HMGET', job.steps, 'k:' .. step, 'b:' .. step, 'h:' .. step, 'p:' .. step)
  if facts[1] ~= 'work' or facts[2] or facts[4] then return false end
  if not facts[3] and tonumber(allowed) > 0 then
    redis.call('HINCRBY', job.key, 'allow', -1)
    redis.call('HSET', job.steps, 'b:' .. step, 1)
    return false
  end
  redis.call('HSET', job.steps, 'h:' .. step, 1, 's:' .. step, 'blocked')
  if not facts[3] then
    local held = redis.call('HGET', job.key, 'held')
    redis.call('HSET', job.key, 'held', held and held .. ' ' .. step or step)
    if not held then emit(job, 'job_paused') end
  end
  return true
end

local function to_ready(job, step)
  if is_held(job, step) then return end
  redis.call('HSET', job.steps, 's:' .. step, 'ready')
  if is_paused(job) then return redis.call('ZREM', timers, job.id .. ':' .. step) end -- `go_on` finds it
  local facts = redis.call('HMGET', job.steps, 'Q:' .. step, 'y:' .. step, 'z:' .. step, 'T:' .. step)
  start_clocks(job, step, facts[2], facts[3], facts[4])
  local queue = facts[1]
  show(job, step, queue, 'ready')
  if tonumber(redis.call('HGET', load, 'N:' .. queue) or '0') == 0 and has_room(job, queue) then
    take_slot(job, step, queue)
  else
    queue_up(job, step, queue)
    grant(queue)
  end
end
