-- Waits: what parked steps wait for, and what has come of it. Stands after accounts.
-- :waits  # <step> keys that it has been parked for · w <step> <key> what is waited for, JSON · x <step> <key> when that
--         expires, Unix ms · o <step> <key> what came of it, JSON · c <step> <key> child steps · n <step> <key> those
--         that have not ended
-- :steps  p:<child> its parent and the key, blank-separated
-- asked   sorted set of all that people are asked: `job:step key` → since when, Unix ms

local close_step, asked = nil, base .. 'asked'

local function wait_field(letter, step, key) return letter .. ' ' .. step .. ' ' .. key end

local function keys_waited_for(job, step) return string.gmatch(redis.call('HGET', job.waits, '# ' .. step) or '', '%S+') end

-- Waits of a parked step without an outcome, and the first time at which one of them expires.
local function open_waits(job, step)
  local count, first = 0, nil
  for key in keys_waited_for(job, step) do
    local facts = redis.call('HMGET', job.waits, wait_field('o', step, key), wait_field('x', step, key))
    if not facts[1] then
      count = count + 1
      first = facts[2] and earliest(tonumber(facts[2]), first) or first
    end
  end
  return count, first
end

local function wake(job, step)
  if redis.call('HGET', job.steps, 's:' .. step) ~= 'parked' or open_waits(job, step) > 0 then return end
  redis.call('HSET', job.steps, 'q:' .. step, ms(now))
  emit(job, 'step_woken', step)
  to_ready(job, step)
end

-- What has not come yet expires so much later.
local function put_off(job, step, by)
  for key in keys_waited_for(job, step) do
    local facts = redis.call('HMGET', job.waits, wait_field('o', step, key), wait_field('x', step, key))
    if facts[2] and not facts[1] then
      redis.call('HSET', job.waits, wait_field('x', step, key), ms(tonumber(facts[2]) + by))
    end
  end
end

-- The first outcome counts. A step that waits for nothing else goes on.
local function set_outcome(job, step, key, outcome)
  if redis.call('HSETNX', job.waits, wait_field('o', step, key), outcome) == 0 then return false end
  redis.call('ZREM', asked, job.id .. ':' .. step .. ' ' .. key)
  wake(job, step)
  return true
end

-- A step has ended: its parent no longer waits for it, and nobody wants what its own children do. O(changes)
local function part_family(job, step)
  local parent = redis.call('HGET', job.steps, 'p:' .. step)
  if parent then
    local split = string.find(parent, ' ', 1, true)
    local of, key = string.sub(parent, 1, split - 1), string.sub(parent, split + 1)
    if redis.call('HINCRBY', job.waits, wait_field('n', of, key), -1) == 0 then
      set_outcome(job, of, key, '{"kind":"children"}')
    end
  end
  for key in keys_waited_for(job, step) do
    redis.call('ZREM', asked, job.id .. ':' .. step .. ' ' .. key)
    for child in string.gmatch(redis.call('HGET', job.waits, wait_field('c', step, key)) or '', '%S+') do
      if is_open(redis.call('HGET', job.steps, 's:' .. child)) then
        if redis.call('HGET', job.steps, 's:' .. child) == 'ready' then leave_line(job, child) end
        close_step(job, child, 'cancelled')
        emit(job, 'step_cancelled', child)
      end
    end
  end
end

-- Forgets what a step waited for: it begins anew. What its children found stays among its inputs.
local function forget_waits(job, step)
  for key in keys_waited_for(job, step) do
    redis.call('HDEL', job.waits, wait_field('w', step, key), wait_field('o', step, key), wait_field('x', step, key),
      wait_field('c', step, key), wait_field('n', step, key))
    redis.call('ZREM', asked, job.id .. ':' .. step .. ' ' .. key)
  end
  redis.call('HDEL', job.waits, '# ' .. step)
end
