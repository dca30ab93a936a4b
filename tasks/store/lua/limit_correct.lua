-- Ends a hold, and corrects the buckets by what the provider says.
-- ARGV[5] 'done' the call was answered, 'back' it was not counted, 'kept' nobody knows; [6] input tokens that counted,
-- [7] output tokens, [8] ms that nobody may call now, or '', [9] ms that no limits are expected after an answer that told
-- none, [10] ms that all this is kept; then for each of requests, input and output tokens limit, remaining and ms from the
-- answer to the bucket's being full, each '' where no header said so
-- Reply: 1, or 0 when the hold was gone
local WEIGHT = 0.1 -- of the newest call in the averages
local MOST_SEEN = 16 -- answers that a correction needs
local RESET_BLUR = 2000 -- reset and the answer's date are in whole seconds
local outcome, pause, ttl = ARGV[5], tonumber(ARGV[8]), tonumber(ARGV[10])
local hold = drop(call)
local counted = { r = 1, i = tonumber(ARGV[6]), o = tonumber(ARGV[7]) }
if outcome == 'back' then counted = { r = 0, i = 0, o = 0 } end
if outcome == 'kept' then counted = hold and hold.cost or { r = 1, i = 0, o = 0 } end

local function average(name, value) bucket[name] = (bucket[name] or value) * (1 - WEIGHT) + value * WEIGHT end
if hold and outcome == 'done' then
  average('raw', hold.raw)
  average('input', counted.i)
  average('output', counted.o)
end

local function raise(unit, by)
  add('level', unit, by)
  add('raised', unit, by)
end
local function lower(unit, by)
  add('level', unit, -by)
  add('lowered', unit, by)
end

-- Compares as at the call's admission there, however long ago that is: what was lowered since, it may have seen, and so
-- with what was raised. Calls overtake each other, so a correction needs as many answers that agree as calls were under
-- way; a refusal needs none.
local function compare(unit, left)
  -- Tokens are rounded to thousands there: https://platform.claude.com/docs/en/api/rate-limits
  local blur = (unit ~= 'r' and left % 1000 == 0) and 500 or 1
  local own = unit == 'o' and 0 or math.max(0, hold.cost[unit] - counted[unit])
  local landed = unit == 'o' and of('landed', '') or 0
  local more = left - (hold.low[unit] - of('lowered', unit) - landed + own)
  if pause then
    if left < hold.cost[unit] and more < 0 then lower(unit, -more) end
    return
  end
  local first = of('seen', unit) == 0
  local least = left - (hold.high[unit] + of('raised', unit) + own)
  bucket['least' .. unit] = first and least or math.min(of('least', unit), least)
  bucket['most' .. unit] = first and more or math.max(of('most', unit), more)
  add('seen', unit, 1)
  if of('seen', unit) < math.min(MOST_SEEN, of('crowd', '')) then return end
  if of('least', unit) > blur then raise(unit, of('least', unit) - blur)
  elseif of('most', unit) < -blur then lower(unit, -of('most', unit) - blur) end
  bucket['seen' .. unit] = 0
  bucket.crowd = of('held', 'r')
end

local told = false
for at, unit in ipairs(UNITS) do
  local said, left, reset = tonumber(ARGV[8 + at * 3]), tonumber(ARGV[9 + at * 3]), tonumber(ARGV[10 + at * 3])
  if hold and limit[unit] then
    local refund = hold.cost[unit] - counted[unit]
    add('level', unit, refund)
    if unit ~= 'o' then add('lowered', unit, math.max(0, -refund)) end
  end
  if said and said > 0 and left then
    told = true
    local is_new = not limit[unit]
    bucket['limit' .. unit] = said
    local seen = math.max(of('size', unit), left + (unit == 'o' and 0 or counted[unit]), said / 60, 1)
    bucket['size' .. unit] = math.min(said, seen)
    -- Overdrawn by output; how far, only the time until it is full tells.
    if left == 0 and reset then left = math.min(0, said - (reset - RESET_BLUR) * said / 60000) end
    if is_new then bucket['level' .. unit] = left - of('held', unit) - (unit == 'o' and counted.o or 0)
    elseif hold and hold.low[unit] then compare(unit, left) end
  end
end
add('landed', '', counted.o)
look()
if outcome == 'done' and not told then bucket.free = now + ARGV[9] end
if pause then bucket.pause = math.max(bucket.pause or 0, now + pause) end
if redis.call('HGET', KEYS[4], 'probe') == call then
  if outcome == 'done' then redis.call('DEL', KEYS[4]) else redis.call('HDEL', KEYS[4], 'probe', 'probe_ends') end
end
save(math.max(ttl, pause or 0))
return hold and 1 or 0
