-- Who calls, and what its request will use, before throttle is asked.
--
-- The finding of the key filter is a customer, or a customer and the name of its key with a blank
-- between them. Neither has one in itself. An estimate that is no number is removed: one that is
-- too long would make the question too long for throttle, and then the failure rule would speak.

local LONGEST = 15
local ESTIMATES = {
  "x-midstage-estimate-tokens",
  "x-midstage-estimate-input-tokens",
  "x-midstage-estimate-output-tokens",
  "x-midstage-estimate-images",
  "x-midstage-estimate-audio-seconds",
}

function envoy_on_request(handle)
  local headers = handle:headers()
  local found = headers:get("x-midstage-customer")
  local at = found ~= nil and found:find(" ", 1, true)
  if at then
    headers:replace("x-midstage-customer", found:sub(1, at - 1))
    headers:replace("x-midstage-key", found:sub(at + 1))
  end
  for _, name in ipairs(ESTIMATES) do
    local said = headers:get(name)
    if said ~= nil and (#said > LONGEST or not said:find("^%d+$")) then
      headers:remove(name)
    end
  end
end
