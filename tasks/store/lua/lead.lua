-- A model call asks whether it may go: at once where all that its prompt begins with is in the provider's cache, as
-- leader where nobody else fetches it. Stands alone, without the prelude. A leader that asks again keeps its lead.
-- KEYS two for each beginning: [1] is there while it is warm, [2] the token of its leader
-- ARGV[1] the caller's token, [2] ms that a lead holds
-- Reply: warm, lead or wait
local cold = {}
for at = 1, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[at]) == 0 then
    local leader = redis.call('GET', KEYS[at + 1])
    if leader and leader ~= ARGV[1] then return 'wait' end
    cold[#cold + 1] = KEYS[at + 1]
  end
end
if #cold == 0 then return 'warm' end
for _, lead in ipairs(cold) do redis.call('SET', lead, ARGV[1], 'PX', ARGV[2]) end
return 'lead'
