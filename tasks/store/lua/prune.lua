-- Forget jobs that have ended. A job that is open, or of another status, or ended too late, stays.
-- ARGV[3] ms that a job must have been over for, [4] statuses: |completed|failed|cancelled|, [5] '1': only count,
-- then job ids
-- Reply: {how many were forgotten, or would have been; how many the index alone knew of: those have left it;
--   bytes of the first, about}
local count, gone, bytes, latest = 0, 0, 0, now - tonumber(ARGV[3])

local function size(key)
  local reply = redis.pcall('MEMORY', 'USAGE', key)
  return type(reply) == 'number' and reply or 0 -- none for a key that is not there, an error for one who may not ask
end

for at = 6, #ARGV do
  local job = open_job(ARGV[at])
  local facts = redis.call('HMGET', job.key, 'status', 'finished', 'order', 'idem', 'tenant')
  if not facts[1] then
    unlist_job(job) -- past its retention; `unlist` takes it off its tenant's list
    gone = gone + 1
  elseif may(ARGV[4], facts[1]) and tonumber(facts[2] or 'inf') <= latest then
    count = count + 1
    for _, key in ipairs(keys_of(job)) do bytes = bytes + size(key) end
    if ARGV[5] ~= '1' then
      redis.call('ZREM', base .. 'damaged', job.id)
      for step in string.gmatch(facts[3] or '', '%S+') do
        for _, list in ipairs({ 'dead', 'damaged' }) do redis.call('ZREM', base .. list, job.id .. ':' .. step) end
      end
      if is_remembered(job, facts[4]) then redis.call('DEL', facts[4]) end
      redis.call('UNLINK', unpack(keys_of(job)))
      unlist_job(job, facts[5])
    end
  end
end
return { count, gone, bytes }
