%% @doc Text of others for one line: bounded, and without control characters. Pure.
%% @private
-module(router_bench_text).

-export([line/2, value/1]).

%% @doc The text's first characters; what is no printable character becomes a space.
-spec line(unicode:chardata(), CharactersMax :: pos_integer()) -> binary().
line(Text, CharactersMax) ->
    Characters = lists:sublist(lists:append([characters(Part) || Part <- lists:flatten([Text])]), CharactersMax),
    unicode:characters_to_binary([case is_integer(C) andalso C >= 32 andalso C =/= 127 of
                                      true -> C;
                                      false -> $\s
                                  end || C <- Characters]).

%% Of a binary that is no UTF-8 each byte is one.
characters(Text) when is_binary(Text) ->
    case unicode:characters_to_list(Text) of
        Characters when is_list(Characters) -> Characters;
        _ -> binary_to_list(Text)
    end;
characters(Character) ->
    [Character].

%% @doc The value of an adapter's option.
-spec value(router_bench_plan:value()) -> binary().
value(Value) when is_binary(Value) -> line(unicode:characters_to_list(Value), 100);
value(Value) when is_integer(Value) -> integer_to_binary(Value);
value(Value) when is_boolean(Value) -> atom_to_binary(Value).
