-- Take jobs that are past their retention off a list. O(members looked at), in bounded pages.
-- ARGV[3] list: index | index:of:<tenant> | dead | damaged | tenants (those that have no list), [4] place to look from, [5] most members looked at
-- Reply: {place to go on from, -1: that was all; how many were taken off}
local list, place, most, kept = base .. ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), 0
local named = base .. (ARGV[3] == 'tenants' and 'index:of:' or '')
local members = redis.call('ZRANGE', list, place, place + most - 1)
for _, member in ipairs(members) do
  if redis.call('EXISTS', named .. string.match(member, '^[^:]*')) == 1 then kept = kept + 1
  else redis.call('ZREM', list, member) end
end
return { #members < most and -1 or place + kept, #members - kept }
