-- What a model call has found out: its beginnings are in the provider's cache, or are not; a lead of its own ends.
-- Stands alone, without the prelude.
-- KEYS two for each beginning: [1] is there while it is warm, [2] the token of its leader
-- ARGV[1] the caller's token, [2] ms that they are warm from now; 0 says nothing of that
-- Reply: 0
local ms = tonumber(ARGV[2])
for at = 1, #KEYS, 2 do
  if ms > 0 and redis.call('PTTL', KEYS[at]) < ms then redis.call('SET', KEYS[at], 1, 'PX', ms) end
  if redis.call('GET', KEYS[at + 1]) == ARGV[1] then redis.call('DEL', KEYS[at + 1]) end
end
return 0
