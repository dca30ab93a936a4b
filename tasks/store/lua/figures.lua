-- Figures of the fleet: what is counted for people and for Prometheus, in the same moves that change the state, so that
-- no kill makes them wrong. Stands after the prelude.
-- totals  counts since ever, fields in `tasks/store/figures.py`; `@` the number of the five minutes that it stands in
-- totals:<seconds>:<number>  the totals as they were when that stretch of time began: what a window began with
-- <queue>:<status> steps of a queue that are ready, dispatched or running: `job:step` → since when, Unix ms

local TOTALS = base .. 'totals'
-- Length of a stretch, and how long its beginning is kept, in seconds.
local STRETCHES = { { 300, 4800 }, { 3600, 97200 }, { 21600, 669600 } }
local FIELDS_MAX = 20000 -- names beyond these are counted together
local SHOWN = { ready = true, dispatched = true, running = true }
local is_current = false

-- Keeps what the totals were at the beginning of each stretch of time, by the first count that falls into it.
local function turn_page()
  is_current = true
  local page, was = math.floor(clock[1] / 300), redis.call('HGET', TOTALS, '@')
  if was == ms(page) then return end
  redis.call('HSET', TOTALS, '@', ms(page))
  for _, stretch in ipairs(STRETCHES) do
    local number = math.floor(clock[1] / stretch[1])
    if not was or math.floor(tonumber(was) * 300 / stretch[1]) < number then
      local name = TOTALS .. ':' .. stretch[1] .. ':' .. ms(number)
      redis.call('COPY', TOTALS, name, 'REPLACE')
      redis.call('EXPIRE', name, stretch[2])
    end
  end
end

-- kind: what is counted; name: of what.
local function count(kind, name, by)
  if not is_current then turn_page() end
  local field = kind .. ' ' .. name
  if redis.call('HINCRBY', TOTALS, field, by) == by and redis.call('HLEN', TOTALS) > FIELDS_MAX then
    redis.call('HDEL', TOTALS, field)
    redis.call('HINCRBY', TOTALS, kind .. ' (other)', by)
  end
end

-- How long something took: in the buckets of tasks/histogram.py, and all together.
local function count_time(kind, name, took)
  took = math.max(took, 0)
  local bucket = took <= 0.01 and 0 or math.min(math.ceil(math.log(took / 0.01) / math.log(1.1)), 241)
  count(kind .. 'b:' .. ms(bucket), name, 1)
  if took > 0 then count(kind .. 't', name, ms(took)) end
end

-- The agent that does a step.
local function agent_of(job, step)
  return string.match(redis.call('HGET', job.specs, step) or '', '"agent":"([^"]*)"') or '-'
end

-- Sets the status of a step that is there, and keeps the list of its queue. Further arguments: fields and values.
-- Reply: since when it was in the list that it leaves, if it was in one
local function set_status(job, step, status, ...)
  local is, since = redis.call('HMGET', job.steps, 's:' .. step, 'Q:' .. step), nil
  local member = job.id .. ':' .. step
  if SHOWN[is[1]] then
    local list = base .. is[2] .. ':' .. is[1]
    since = tonumber(redis.call('ZSCORE', list, member) or nil)
    if is[1] ~= status then redis.call('ZREM', list, member) end
  end
  if SHOWN[status] and is[1] ~= status then redis.call('ZADD', base .. is[2] .. ':' .. status, ms(now), member) end
  redis.call('HSET', job.steps, 's:' .. step, status, ...)
  return since
end

-- A step that may not begin is not shown as one that waits for a worker.
local function hide_ready(job, step)
  redis.call('ZREM', base .. redis.call('HGET', job.steps, 'Q:' .. step) .. ':ready', job.id .. ':' .. step)
end
