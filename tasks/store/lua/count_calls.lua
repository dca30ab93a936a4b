-- Add a batch of counted tool calls to the windows of now. Stands alone, without the prelude. O(fields).
-- KEYS[1] what the keys begin with; `:<seconds of a window>:<its number>` and `:of:<counter>` follow, in the same slot
-- ARGV[1] who counted, [2] number of the batch: one that was added before changes nothing, [3] ms that this is known,
-- [4] most pairs of agent and tool in a window, [5] most error codes of a pair, [6] what stands for those beyond,
-- [7] how many kinds of windows, then two a kind: its seconds, ms that it is kept;
-- then for each pair: its name, how many fields, two a field: its name, what to add
-- Fields of a window: `<pair>:<field>`; `pairs` and `<pair>:codes` count what is told apart.
-- Reply: 1 added | 0 there before
local known = KEYS[1] .. ':of:' .. ARGV[1]
if tonumber(redis.call('GET', known) or '0') >= tonumber(ARGV[2]) then return 0 end
redis.call('SET', known, ARGV[2], 'PX', ARGV[3])
local now = tonumber(redis.call('TIME')[1])
local most_pairs, most_codes, other, kinds = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])

local function pair_of(window, name)
  if redis.call('HEXISTS', window, name .. ':n') == 1 then return name end
  if tonumber(redis.call('HGET', window, 'pairs') or '0') >= most_pairs then return other .. ':' .. other end
  redis.call('HINCRBY', window, 'pairs', 1)
  return name
end

local function field_of(window, pair, field)
  if string.sub(field, 1, 2) ~= 'e:' or redis.call('HEXISTS', window, pair .. ':' .. field) == 1 then return field end
  if tonumber(redis.call('HGET', window, pair .. ':codes') or '0') >= most_codes then return 'e:' .. other end
  redis.call('HINCRBY', window, pair .. ':codes', 1)
  return field
end

for kind = 0, kinds - 1 do
  local seconds = tonumber(ARGV[8 + kind * 2])
  local window = KEYS[1] .. ':' .. seconds .. ':' .. string.format('%.0f', math.floor(now / seconds))
  local at = 8 + kinds * 2
  while at <= #ARGV do
    local pair, fields = pair_of(window, ARGV[at]), tonumber(ARGV[at + 1])
    for field = at + 2, at + 2 * fields, 2 do
      redis.call('HINCRBY', window, pair .. ':' .. field_of(window, pair, ARGV[field]), ARGV[field + 1])
    end
    at = at + 2 + 2 * fields
  end
  redis.call('PEXPIRE', window, ARGV[9 + kind * 2])
end
return 1
