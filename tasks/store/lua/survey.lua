-- What lies about in a partition, for a doctor. Stands alone, without the prelude. O(steps looked at).
-- KEYS[1] control stream, KEYS[2] timer set
-- ARGV[1] prefix of the partition's job keys, [2] most steps looked at, those whose timers are due first come first
-- Reply: {control entries, id of the oldest or '', now in Unix ms, then six a step: job, step, status,
--   ms since it was dispatched or started, ms since its timer was due, ms that an attempt may take;
--   of a damaged record that was put aside, or met here, the status is `damaged`, and the step may be ''}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function ms(number) return string.format('%.0f', number) end
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local reply = { redis.call('XLEN', KEYS[1]), oldest[1] and oldest[1][1] or '', ms(now) }
local function add(...)
  for _, one in ipairs({ ... }) do reply[#reply + 1] = one end
end

local function look(job, step, due)
  local key = ARGV[1] .. job
  local facts = redis.call('HMGET', key .. ':steps', 's:' .. step, 'q:' .. step, 't:' .. step)
  local begun = tonumber((facts[1] == 'running' and facts[3]) or facts[2] or '') or now
  local spec = redis.call('HGET', key .. ':specs', step)
  local known = spec and cjson.decode(spec) or {}
  add(job, step, facts[1] or '', ms(now - begun), ms(now - tonumber(due)), ms(tonumber(known['timeout_ms']) or 0))
end

local function damaged(job, step, at)
  local status = redis.pcall('HGET', ARGV[1] .. job, 'status') -- false: its job is gone; an error: that is damaged too
  if status and status ~= 'completed' and status ~= 'failed' and status ~= 'cancelled' then
    add(job, step, 'damaged', ms(now - tonumber(at)), '0', '0')
  end
end

local timers = redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[2]) - 1, 'WITHSCORES')
for at = 1, #timers, 2 do
  local job, step = string.match(timers[at], '^([^:]*):(.*)$')
  if job and not pcall(look, job, step, timers[at + 1]) then damaged(job, step, ms(now)) end
end
local aside = redis.call('ZRANGE', ARGV[1] .. 'damaged', 0, tonumber(ARGV[2]) - 1, 'WITHSCORES')
for at = 1, #aside, 2 do
  local job, step = string.match(aside[at], '^([^:]*):?(.*)$')
  damaged(job, step, aside[at + 1])
end
return reply
