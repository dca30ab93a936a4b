-- Books the turn of one model call, or says why not. A call that is booked already learns how long it still waits.
-- ARGV[5] input tokens as estimated, [6] most output tokens, [7] ms that it would wait, [8] ms that the hold lasts
-- then, [9] ms between two looks while limits are unknown, [10] output tokens to expect at first, [11] ms that a probe
-- of an open circuit may take, [12] ms that all this is kept
-- Reply: { 'go', ms to wait first } · { 'later', ms } nothing was booked: the wait would be too long · { 'ask', ms }
-- ask again, limits are unknown and another call finds out · { 'open', ms, known, said } the key's circuit is open
-- Every call waits until its level is not below nothing, so calls go in the order of their bookings.
local LONGEST_LINE = 600000
local patience, ttl = tonumber(ARGV[7]), tonumber(ARGV[12])

local circuit = redis.call('HMGET', KEYS[4], 'until', 'known', 'said', 'probe', 'probe_ends')
if circuit[1] then
  local ends, known = tonumber(circuit[1]), circuit[2]
  if ends <= now and circuit[4] and circuit[4] ~= call then ends, known = tonumber(circuit[5]), '0' end
  if ends > now then return { 'open', math.ceil(ends - now), known, circuit[3] } end
end

local function go(wait)
  if circuit[1] then -- its time is over: this one call finds out
    redis.call('HSET', KEYS[4], 'probe', call, 'probe_ends', string.format('%.0f', now + wait + ARGV[11]))
  end
  return { 'go', math.ceil(math.max(0, wait)) }
end

local pause = math.max(0, (bucket.pause or 0) - now)
local text = redis.call('HGET', KEYS[2], call)
if text then
  local wait = math.max(pause, cjson.decode(text).due - now)
  if wait <= patience then return go(wait) end
  local hold = drop(call)
  for unit in pairs(limit) do add('level', unit, hold.cost[unit]) end
  save(ttl)
  return { 'later', math.ceil(wait) }
end

if not next(limit) and (bucket.free or 0) <= now then
  -- One call finds out; one more may go each second, so that a slow one does not hold up the fleet.
  if of('held', 'r') == 0 then bucket.probing = now end
  if of('held', 'r') >= 1 + math.floor((now - (bucket.probing or now)) / 1000) then
    return { 'ask', tonumber(ARGV[9]) }
  end
end

local ratio = of('raw', '') > 0 and of('input', '') / bucket.raw or 1
local cost = { r = 1, i = math.ceil(ARGV[5] * ratio), o = math.ceil(bucket.output or tonumber(ARGV[10])) }
cost.o = math.min(cost.o, tonumber(ARGV[6]))
local wait = pause
for unit in pairs(limit) do
  -- Calls may arrive there in another order, up to a second's worth. One that is larger than the bucket waits until
  -- it is full.
  local needed = math.min(cost[unit] + rate[unit] * 1000, size[unit])
  wait = math.max(wait, (needed - of('level', unit)) / rate[unit])
end
if wait > patience then
  -- Those who are sent away come back one after the other, as fast as the limits allow, not all at once.
  local turn, each = math.max(bucket.tail or 0, now + wait), 0
  for unit in pairs(limit) do each = math.max(each, cost[unit] / rate[unit]) end
  bucket.tail = math.min(turn + each, now + wait + LONGEST_LINE)
  save(ttl)
  return { 'later', math.ceil(turn - now) }
end

-- What the provider should say is left, at least and at most, if it knows of no more and no fewer calls than we do.
local low, high = {}, {}
for _, unit in ipairs(UNITS) do
  local others = of('held', unit)
  add('held', unit, cost[unit])
  if limit[unit] then
    add('level', unit, -cost[unit])
    local left = of('level', unit) + wait * rate[unit]
    if unit == 'o' then left = left + others + cost.o end -- it counts there when it is written
    left = math.min(size[unit], left)
    low[unit] = left + of('lowered', unit) + (unit == 'o' and of('landed', '') or 0)
    high[unit] = left - of('raised', unit) + (unit == 'i' and others / 4 or 0)
  end
end
bucket.crowd = math.max(of('crowd', ''), of('held', 'r'))
local hold = { cost = cost, raw = tonumber(ARGV[5]), due = now + wait, low = low, high = high }
redis.call('HSET', KEYS[2], call, cjson.encode(hold))
redis.call('ZADD', KEYS[3], string.format('%.0f', now + wait + ARGV[8]), call)
save(math.max(ttl, wait + ARGV[8]))
return go(wait)
