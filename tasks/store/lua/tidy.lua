-- Drop readers of a control stream that are gone: long silent, and with nothing read that they have not finished. Stands
-- alone, without the prelude. One script: a reader that wakes up in between would lose what it has just read.
-- KEYS[1] control stream
-- ARGV[1] group, [2] ms of silence
-- Reply: how many were dropped
local dropped = 0
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for at = 1, #flat, 2 do facts[flat[at]] = flat[at + 1] end
  if facts['pending'] == 0 and facts['idle'] >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts['name'])
    dropped = dropped + 1
  end
end
return dropped
