-- Shared by every script: stands before its text.
-- KEYS[1] control stream, KEYS[2] timer set (both of the job's partition)
-- ARGV[1] prefix of the partition's job keys, ARGV[2] events kept for one job
-- Keys of a job are built from ARGV[1]; they carry the same hash tag, so one slot is touched.
-- A step has at most one timer, `job:step`; what it means follows from the step's status. `job` alone is the deadline.

local control, timers = KEYS[1], KEYS[2]
local base, events_max = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function ms(number) return string.format('%.0f', number) end

local function open_job(id)
  local key = base .. id
  return { id = id, key = key, steps = key .. ':steps', specs = key .. ':specs',
           results = key .. ':results', events = key .. ':events', big = key .. ':big',
           ledger = key .. ':ledger', journal = key .. ':journal',
           waits = key .. ':waits', board = key .. ':board', posts = key .. ':posts', trace = key .. ':trace' }
end

local function keys_of(job)
  return { job.key, job.steps, job.specs, job.results, job.events, job.big, job.ledger, job.journal, job.waits,
           job.board, job.posts, job.trace }
end

-- Whether this job is the one that an idempotency key stands for; a key whose job was gone may have gone to another.
local function is_remembered(job, idem)
  local first = idem and redis.call('GET', idem)
  return first and string.sub(first, 1, #job.id + 1) == job.id .. ' '
end

local function emit(job, kind, step, attempt, data)
  local seq = redis.call('HINCRBY', job.key, 'seq', 1)
  redis.call('XADD', job.events, 'MAXLEN', '~', events_max, seq .. '-0',
    'type', kind, 'at', ms(now), 'step', step or '', 'attempt', attempt or '', 'data', data or '')
end

local function tell(kind, job, step, attempt, data)
  redis.call('XADD', control, '*', 'kind', kind, 'job', job.id, 'step', step or '', 'attempt', attempt or '',
    'data', data or '')
end

-- The earliest of times, of which all but the first may not be set.
local function earliest(time, ...)
  for at = 1, select('#', ...) do
    local other = tonumber((select(at, ...)) or nil)
    if other and other < time then time = other end
  end
  return time
end

-- Notes a record that is not as we write it, for people: a timer, or a job that waits in a line.
local function damage(member)
  redis.call('ZADD', base .. 'damaged', ms(now), member)
  redis.call('ZREMRANGEBYRANK', base .. 'damaged', 0, -10001)
end

local function may(sources, status)
  return status and string.find(sources, '|' .. status .. '|', 1, true) ~= nil
end

local function is_open(status)
  return status and status ~= 'succeeded' and status ~= 'failed' and status ~= 'skipped' and status ~= 'cancelled'
end

local function is_paused(job) return redis.call('HEXISTS', job.key, 'paused') == 1 end

-- Whether a job was submitted. Whoever may only do jobs can write a hash that looks like one, but not into the index.
local function is_accepted(job) return redis.call('ZSCORE', base .. 'index', job.id) end

-- What the clocks of a job's steps show: they stand still while it is paused.
local function now_of(job) return tonumber(redis.call('HGET', job.key, 'paused') or now) end

-- Keeps a large payload apart, in place of which only a mark stands in its hash: tasks/store/payload.py.
local function keep_apart(job, field, value)
  if value == '' then return end
  if redis.call('HSET', job.big, field, value) == 1 and redis.call('HLEN', job.big) == 1 then
    redis.call('PEXPIREAT', job.big, redis.call('HGET', job.key, 'expires'))
  end
end

local function keep(job, field, value)
  if redis.call('HSET', job.results, field, value) == 1 and redis.call('HLEN', job.results) == 1 then
    redis.call('PEXPIREAT', job.results, redis.call('HGET', job.key, 'expires'))
  end
end
