-- Accept a job: nothing → pending, with its planning step ready (or its given plan proposed).
-- KEYS[3] idempotency key of the job, or the job's own key when it has none
-- ARGV[3] job id, [4] job spec, [5] planning step's id or '', [6] its spec, [7] timeout ms, [8] retention ms, [9] fingerprint or '',
-- [10] ms from submit after which no job is kept any more, [11] most open jobs, [12] most open jobs of a tenant (0: any),
-- [13] tenant, [14] priority, [15] most of its steps in flight (0: any), [16] planning step's queue,
-- [17] given plan or '': apart from the spec, which every claim brings,
-- [18] the planning step's most ms in the queue, [19] of the whole step (0: any),
-- [20], [21] what of spec and plan is kept apart, or '', [22] for lists: the spec with a short task, or '',
-- [23] '1': a replay, whose journals were filled by `seed`; they stay as they are,
-- [24] session or '', [25] what to do when another job of it is open: reject | queue | interrupt | rollback,
-- [26], [27] the user's message and its metadata, [28] ttl ms of the session, [29] most messages, [30] longest line,
-- [31] failure of jobs that give way, [32] most steps of work that may begin, or '',
-- [33] the trace that its producer was in, or '',
-- [34] job of the partition that it is forked from, or '', [35] data of the event that says so, [36] steps that it takes
-- over, with their results: nothing → succeeded; [37] on: twelve each, see `write_step`, in a topological order
-- Reply: {id of the job, 1 created | 0 there before | -1 refused, fingerprint of the one there | what is full:
--   jobs | tenant | busy (then the id is that of the job whose turn it is)
--   | source <step> (has no result, or not any more; then the id is that of the job it is forked from)}
local id, spec, step, step_spec = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local timeout, retention, fingerprint = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
local job = open_job(id)
local source = (ARGV[34] or '') ~= '' and open_job(ARGV[34])
local taken = source and tonumber(ARGV[36]) or 0

-- Takes steps over from the job that this one is forked from: all that is there of them is copied, for that one may go.
local function take_over()
  local order = {}
  for at = 37, 36 + 12 * taken, 12 do
    local name = write_step(job, at)
    redis.call('HSET', job.steps, 's:' .. name, 'succeeded', 'f:' .. name, ms(now))
    keep(job, 'r:' .. name, redis.call('HGET', source.results, 'r:' .. name))
    keep_apart(job, 'r:' .. name, redis.call('HGET', source.big, 'r:' .. name) or '')
    order[#order + 1] = name
  end
  if taken > 0 then
    redis.call('HSET', job.key, 'order', table.concat(order, ' '), 'total', taken, 'done', taken, 'won', taken)
  end
  emit(job, 'job_forked', nil, nil, ARGV[35])
end

if fingerprint ~= '' then
  local first = redis.call('GET', KEYS[3])
  local split = first and string.find(first, ' ', 1, true)
  if split and redis.call('EXISTS', base .. string.sub(first, 1, split - 1)) == 1 then -- a job that is gone gives its key free
    return { string.sub(first, 1, split - 1), 0, string.sub(first, split + 1) }
  end
end
if redis.call('EXISTS', job.key) == 1 then return { id, 0, fingerprint } end
local session = ARGV[24] ~= '' and open_session(ARGV[24])
local running = session and running_turn(session)
if running and (ARGV[25] == 'reject' or (ARGV[25] == 'queue' and #line_of(session) >= tonumber(ARGV[30]))) then
  return { running, -1, 'busy' }
end
local full = is_full(ARGV[13], ARGV[11], ARGV[12])
if full then return { id, -1, full } end
for at = 37, 36 + 12 * taken, 12 do -- one that is being tried again has none, and its job may have been forgotten
  if redis.call('HEXISTS', source.results, 'r:' .. ARGV[at]) == 0 then
    return { source.id, -1, 'source ' .. ARGV[at] }
  end
end
if running and ARGV[25] ~= 'queue' then
  for _, other in ipairs(clear_turns(session, ARGV[25] == 'rollback')) do finish_job(other, 'cancelled', ARGV[31]) end
end
redis.call('HINCRBY', load, 'jobs', 1)
redis.call('HINCRBY', load, 'J:' .. ARGV[13], 1)
if fingerprint ~= '' then
  redis.call('SET', KEYS[3], id .. ' ' .. fingerprint, 'PX', timeout + retention)
  redis.call('HSET', job.key, 'idem', KEYS[3])
end

local expires = ms(now + timeout + retention)
redis.call('HSET', job.key, 'spec', spec, 'status', 'pending', 'created', ms(now), 'deadline', ms(now + timeout),
  'expires', expires, 'keep', ARGV[8], 'open', 0, 'done', 0, 'total', 0, 'cost', 0, 'revision', 0, 'won', 0, 'order', step,
  'tenant', ARGV[13], 'priority', ARGV[14], 'cap', ARGV[15])
if ARGV[17] ~= '' then redis.call('HSET', job.key, 'plan', ARGV[17]) end
keep_apart(job, 'spec', ARGV[20])
keep_apart(job, 'plan', ARGV[21])
if ARGV[22] ~= '' then redis.call('HSET', job.key, 'brief', ARGV[22]) end
if ARGV[23] ~= '' then redis.call('HSET', job.key, 'replay', ARGV[23]) end
if ARGV[32] ~= '' then redis.call('HSET', job.key, 'allow', ARGV[32]) end
if ARGV[33] ~= '' then redis.call('HSET', job.key, 'trace', ARGV[33]) end
local begins = true
if session then
  make_session(session, 'troupe', ARGV[28], ARGV[29])
  begins = take_turn(session, job, ARGV[26], ARGV[27], now + timeout)
end
count_job(job, 'submitted')
emit(job, 'job_submitted')
if source then take_over() end
if step ~= '' then
  redis.call('HSET', job.key, 'open', 1, 'total', 1)
  redis.call('HSET', job.steps, 'k:' .. step, 'plan', 'q:' .. step, ms(now), 'Q:' .. step, ARGV[16])
  limit(job, step, ARGV[18], ARGV[19])
  redis.call('HSET', job.specs, step, step_spec)
  if begins then to_ready(job, step) else redis.call('HSET', job.steps, 's:' .. step, 'blocked') end
else
  redis.call('HSET', job.steps, 'v', 1)
  redis.call('HSET', job.specs, ' ', '')
  if begins then tell('plan_proposed', job, '', 0) end
end
for _, key in ipairs({ job.key, job.steps, job.specs, job.events, job.journal }) do redis.call('PEXPIREAT', key, expires) end
redis.call('ZADD', timers, ms(now + timeout), id)
list_job(job, ARGV[13], tonumber(ARGV[10]))
for _, list in ipairs({ 'index', 'index:of:' .. ARGV[13], 'tenants' }) do
  redis.call('ZREMRANGEBYSCORE', base .. list, '-inf', ms(now - tonumber(ARGV[10])))
end
return { id, 1, fingerprint }
