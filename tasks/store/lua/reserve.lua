-- Begin a call of a running attempt: hold the most that it can cost, if all budgets have that much left.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, [7] call, [8] units wanted at least, [9] at most (output tokens),
-- [10] nano-dollars a unit, [11] micro-dollars beside, [12] tokens beside, [13] requests, [14] tool calls,
-- then five a scope: its name, its limits of cost, tokens, requests, tool calls; '' is none
-- Reply: {'', units that may be used} | {status that refused it} | {'spent', scope, what, its limit, what is left of it}
-- | {'held'}: what is held for other calls is too much now, but may come free
local PLENTY = 4 -- times the least: with so many units nobody waits for more
local job, step, attempt, call = open_job(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step)
if not facts[1] then return { 'gone' } end
if facts[2] ~= attempt then return { 'superseded' } end
if not may(ARGV[3], facts[1]) then return { facts[1] } end

local field = 'c:' .. step .. ':' .. attempt .. ':' .. call
local known = redis.call('HGET', job.ledger, field)
if known then return { '', ms(numbers(string.match(known, '[^|a-z]+'))[5]) } end

local least, most, nano = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local beside, scopes = { tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]) }, {}

-- Units that so much pays for; less than 0: not even what is beside them.
local function affordable(place, left)
  local room = left - beside[place]
  if room < 0 then return -1 end
  if WHATS[place] == 'cost' and nano > 0 then return math.floor(room * 1000 / nano) end
  if WHATS[place] == 'tokens' then return room end
  return most
end

local units, later = most, most -- what can be had now, and what could be once all open calls have ended for nothing
for at = 15, #ARGV, 5 do
  local scope = ARGV[at]
  scopes[#scopes + 1] = scope
  for place, what in ipairs(WHATS) do
    local limit = tonumber(ARGV[at + place])
    if limit then
      local of_scope = redis.call('HMGET', job.ledger, 'b:' .. scope .. ':' .. what, 'h:' .. scope .. ':' .. what)
      local left = limit - tonumber(of_scope[1] or '0')
      units = math.min(units, affordable(place, left - tonumber(of_scope[2] or '0')))
      later = math.min(later, affordable(place, left))
      if later < least then
        count('b', what, 1)
        return { 'spent', scope, what, ms(limit), ms(math.max(left, 0)) }
      end
    end
  end
end
if units < math.min(later, least * PLENTY) then return { 'held' } end

local cost = beside[1] + math.ceil(units * nano / 1000)
local held = table.concat({ ms(cost), ms(beside[2] + units), ms(beside[3]), ms(beside[4]), ms(units) }, ' ') ..
  '|' .. table.concat(scopes, ' ')
local open = redis.call('HGET', job.ledger, 'o:' .. step)
redis.call('HSET', job.ledger, field, held, 'o:' .. step, (open and open .. ' ' or '') .. attempt .. ':' .. call)
hold(job, held, 1)
keep_alive(job, job.ledger)
return { '', ms(units) }
