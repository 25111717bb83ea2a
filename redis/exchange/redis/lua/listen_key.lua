-- Prolong the listenKey of an account, or end it: only if it is the one that the account has.
-- KEYS: l:<account>
-- ARGV: listenKey, seconds that it is to live from now on (0: end it)
local held = redis.call('GET', KEYS[1])
if not held or string.sub(held, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then
  return {'UNKNOWN'}
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return {'OK'}
