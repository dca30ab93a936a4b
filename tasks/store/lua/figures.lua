-- Figures of the fleet: what is counted for people and for Prometheus, in the same moves that change the state, so that
-- no kill makes them wrong. Stands after the prelude.
-- totals  counts since ever, fields in `tasks/store/figures.py`; `@` the number of the five minutes that it stands in
-- totals:<seconds>:<number>  the totals as they were when that stretch of time began: what a window began with
-- <queue>:present  steps of a queue that are ready, dispatched or running: `job:step` → rank of the status, since when

local TOTALS = base .. 'totals'
-- Length of a stretch, and how long its beginning is kept, in seconds.
local STRETCHES = { { 300, 4800 }, { 3600, 97200 }, { 21600, 669600 } }
local FIELDS_MAX = 8000 -- names beyond these are counted together
local TENANTS_MAX = 3000 -- the same for tenants: whoever submits names them, and agents are to have room behind them
local RANK = 4e12 -- above any time in Unix ms
local RANKS = { ready = 0, dispatched = 1, running = 2 }
local is_current, agents = false, {} -- agents of steps, that are looked up once

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
  local field, most = kind .. ' ' .. name, string.sub(kind, 1, 1) == 't' and TENANTS_MAX or FIELDS_MAX
  if redis.call('HINCRBY', TOTALS, field, by) == by and redis.call('HLEN', TOTALS) > most then
    redis.call('HDEL', TOTALS, field)
    redis.call('HINCRBY', TOTALS, kind .. ' (other)', by)
  end
end

-- How long something took, in the buckets of tasks/histogram.py.
local function count_time(kind, name, took)
  local bucket = took <= 0.01 and 0 or math.min(math.ceil(math.log(took / 0.01) / math.log(1.1)), 241)
  count(kind .. ':' .. ms(bucket), name, 1)
end

-- The agent that does a step.
local function agent_of(job, step)
  local of = job.id .. ':' .. step -- steps of other jobs are called the same
  if not agents[of] then
    agents[of] = string.match(redis.call('HGET', job.specs, step) or '', '"agent":"([^"]*)"') or '-'
  end
  return agents[of]
end

-- A step that waits for a slot, or has one, stands in the list of its queue, by what it is and since when.
local function show(job, step, queue, status)
  redis.call('ZADD', base .. queue .. ':present', ms(RANKS[status] * RANK + now), job.id .. ':' .. step)
end

local function hide(queue, ...) redis.call('ZREM', base .. queue .. ':present', ...) end
