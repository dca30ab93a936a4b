-- A call came to nothing (it was refused, or not made): what it held is free again. Not fenced: to free twice is nothing.
-- ARGV[3] job id, [4] step, [5] attempt, [6] call, [7] '1': whether it cost something is not known,
-- [8] what the trace says of it, or ''
-- Reply: 1
local job = open_job(ARGV[3])
local record = ARGV[8] ~= '' and ARGV[8] or nil
if ARGV[7] == '1' then lose_call(job, ARGV[4], ARGV[5], ARGV[6], record)
elseif close_call(job, ARGV[4], ARGV[5], ARGV[6]) and record then note_call(job, ARGV[4], ARGV[5], record) end
return 1
