-- Reads the units out of an OpenAI-compatible answer while its body streams by, and holds nothing
-- back. Sets dynamic metadata in the namespace "midstage":
--   usage   the JSON text of the answer's top-level member "usage", the last one of a stream
--   events  how many events of a stream carried content so far (set as they pass)
--   first   when the first of them passed, in microseconds since the epoch
--   unread  why the units could not be read
-- The text is looked at from its end, where strings and braces can be told apart without knowing
-- the beginning: what a caller made the model say is inside a string, or deeper than the top.

local WINDOW = 8192
local LONGEST = 4096
local SPACE, QUOTE, BACKSLASH = 32, 34, 92
local OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET = 123, 125, 91, 93

-- The place of the quote that opens the string whose closing quote is at `at`, or nil.
local function opening(text, at)
  local i = at - 1
  while i >= 1 do
    if text:byte(i) == QUOTE then
      local slashes = 0
      while i - slashes > 1 and text:byte(i - slashes - 1) == BACKSLASH do
        slashes = slashes + 1
      end
      if i - slashes == 1 then -- what stands before the window decides; we can't know it
        return nil
      elseif slashes % 2 == 0 then
        return i
      end
      i = i - slashes
    end
    i = i - 1
  end
  return nil
end

-- The value of the top-level member "usage" of the JSON object that `text` ends with, or nil.
local function usage_of(text)
  local last = #text
  while last >= 1 and text:byte(last) <= SPACE do
    last = last - 1
  end
  if text:byte(last) ~= CLOSE_BRACE then
    return nil
  end
  local depth, value_end, i = 0, nil, last
  while i >= 1 do
    local c = text:byte(i)
    if c == QUOTE then
      local start = opening(text, i)
      if start == nil then
        return nil
      end
      if depth == 1 and i - start == 6 and text:sub(start, i) == '"usage"' then
        local value = text:match("^%s*:%s*(){", i + 1)
        if value ~= nil then
          return text:sub(value, value_end)
        elseif text:match("^%s*:", i + 1) then
          return nil
        end
      end
      i = start
    elseif c == CLOSE_BRACE or c == CLOSE_BRACKET then
      depth = depth + 1
      if depth == 2 then
        value_end = i
      end
    elseif c == OPEN_BRACE or c == OPEN_BRACKET then
      depth = depth - 1
      if depth == 0 then
        return nil
      end
    end
    i = i - 1
  end
  return nil
end

local function remember_usage(metadata, text)
  local usage = usage_of(text)
  if usage == nil then
    return
  elseif #usage > LONGEST then
    metadata:set("midstage", "unread", "the usage object is too long")
  else
    metadata:set("midstage", "usage", usage)
  end
end

-- Whether a stream's event carries a piece of the answer: a member with a text that is not empty.
local function has_content(line)
  return line:find('content"%s*:%s*"[^"]') ~= nil
    or line:find('"text"%s*:%s*"[^"]') ~= nil
    or line:find('"arguments"%s*:%s*"[^"]') ~= nil
    or line:find('"delta"%s*:%s*"[^"]') ~= nil
end

local function bytes_of(chunk, most)
  local length = chunk:length()
  if most == nil or length <= most then
    return chunk:getBytes(0, length)
  end
  return chunk:getBytes(length - most, most)
end

local function read_plain(handle)
  local tail = ""
  for chunk in handle:bodyChunks() do
    if chunk:length() > 0 then
      tail = tail .. bytes_of(chunk, WINDOW)
      if #tail > WINDOW then
        tail = tail:sub(-WINDOW)
      end
    end
  end
  remember_usage(handle:streamInfo():dynamicMetadata(), tail)
end

-- An event is one line that begins with "data:". Of one longer than the window its end is enough.
local function read_events(handle)
  -- What a handle gives is dead once the filter has waited for the next chunk: ask for it anew.
  local function metadata()
    return handle:streamInfo():dynamicMetadata()
  end

  local rest, kind, counted, events, told = "", nil, false, 0, 0

  local function look(text)
    kind = kind or (text:sub(1, 5) == "data:" and "data" or "other")
    if kind == "data" and not counted and has_content(text) then
      counted = true
      events = events + 1
    end
  end

  local function ends(line)
    look(line)
    if kind == "data" and line:find('"usage"', 1, true) then
      remember_usage(metadata(), line)
    end
    kind, counted = nil, false
  end

  for chunk in handle:bodyChunks() do
    if chunk:length() > 0 then
      local text, from = rest .. bytes_of(chunk), 1
      local at = text:find("\n", from, true)
      while at do
        ends(text:sub(from, at - 1))
        from = at + 1
        at = text:find("\n", from, true)
      end
      rest = text:sub(from)
      if #rest > WINDOW then
        look(rest)
        rest = rest:sub(-WINDOW)
      end
      if events > told then
        if told == 0 then
          local now = handle:timestampString(EnvoyTimestampResolution.MICROSECOND)
          metadata():set("midstage", "first", now)
        end
        told = events
        metadata():set("midstage", "events", events)
      end
    end
  end
  ends(rest)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local content = (headers:get("content-type") or ""):lower()
  local streamed = content:find("text/event-stream", 1, true) ~= nil
  if not streamed and not content:find("json", 1, true) then
    return
  end
  local encoding = headers:get("content-encoding")
  if encoding ~= nil and encoding:lower() ~= "identity" then
    handle:streamInfo():dynamicMetadata():set("midstage", "unread", "the answer is compressed")
    return
  end
  if streamed then
    read_events(handle)
  else
    read_plain(handle)
  end
end
