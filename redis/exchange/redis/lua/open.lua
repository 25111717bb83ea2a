-- Open the gate: append `Opened`, move both streams to its number, and let this Redis take commands.
-- KEYS: j:out j:top j:run j:cmd
-- ARGV: run id, epoch, expected top of j:out, number, time, payload
if string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') ~= ARGV[1] then
  return {'RUN'}
end
local top = redis.call('HMGET', KEYS[2], 'epoch', 'out')
if top[1] ~= ARGV[2] then
  return {'EPOCH'}
end
if top[2] == ARGV[4] and redis.call('GET', KEYS[3]) == ARGV[1] then
  return {'OK'}
end
if top[2] ~= ARGV[3] then
  return {'TOP'}
end
local id = '0-' .. ARGV[4]
redis.call('XADD', KEYS[1], id, 'n', 1, 't', ARGV[5], 'p', ARGV[6])
if redis.call('EXISTS', KEYS[4]) == 0 then
  -- XSETID wants a stream that exists: making and dropping a group leaves an empty one.
  redis.call('XGROUP', 'CREATE', KEYS[4], 'none', '$', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', KEYS[4], 'none')
end
redis.call('XSETID', KEYS[4], id)
redis.call('HSET', KEYS[2], 'out', ARGV[4], 'cmd', ARGV[4])
redis.call('SET', KEYS[3], ARGV[1])
redis.call('PUBLISH', KEYS[1], ARGV[6])
return {'OK'}
