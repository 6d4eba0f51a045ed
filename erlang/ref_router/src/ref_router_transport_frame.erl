%% @doc In-process transport: encodes the message as a transport to the network would, and reads the
%% frame as its provider would.
%%
%% The frame is one of STOMP 1.2 (https://stomp.github.io/stomp-specification-1.2.html): command,
%% headers, an empty line, the payload in Erlang's external term format, a zero byte. The checksum
%% is a CRC-32 of the body and not a digest: `erlang:md5/1' takes five time slices for any input,
%% which would be most of what a caller waits for.
%% @private
-module(ref_router_transport_frame).
-behaviour(ref_router_transport).

-export([deliver/2, encode/2, decode/1]).

%% @doc Encodes the message and takes the frame, unless it is damaged.
-spec deliver(ref_router_config:provider_id(), ref_router:message()) -> ok | {error, damaged}.
deliver(Provider, Message) ->
    case decode(encode(Provider, Message)) of
        {ok, _Headers, _Body} -> ok;
        {error, damaged} -> {error, damaged}
    end.

%% @doc The frame that a provider is sent.
-spec encode(ref_router_config:provider_id(), ref_router:message()) -> binary().
encode(Provider, #{tenant := Tenant} = Message) ->
    Body = term_to_binary(maps:get(payload, Message, undefined)),
    iolist_to_binary(
      ["SEND\n",
       header(<<"destination">>, atom_to_binary(Provider)),
       header(<<"tenant">>, Tenant),
       case Message of
           #{session := Session} -> header(<<"session">>, Session);
           #{} -> []
       end,
       header(<<"content-type">>, <<"application/x-erlang-binary">>),
       header(<<"content-length">>, integer_to_binary(byte_size(Body))),
       header(<<"crc32">>, integer_to_binary(erlang:crc32(Body))),
       $\n, Body, 0]).

header(Name, Value) ->
    [Name, $:, << <<(escape(Byte))/binary>> || <<Byte>> <= Value >>, $\n].

escape($\r) -> <<"\\r">>;
escape($\n) -> <<"\\n">>;
escape($:) -> <<"\\c">>;
escape($\\) -> <<"\\\\">>;
escape(Byte) -> <<Byte>>.

%% @doc The headers and the body of a frame; the body is not turned into a term.
-spec decode(binary()) -> {ok, Headers :: #{binary() => binary()}, Body :: binary()}
                        | {error, damaged}.
decode(<<"SEND\n", Rest/binary>>) ->
    headers(Rest, #{});
decode(_Other) ->
    {error, damaged}.

headers(<<$\n, Rest/binary>>, Headers) ->
    body(Rest, Headers);
headers(Text, Headers) ->
    case binary:split(Text, <<$\n>>) of
        [Line, Rest] ->
            case binary:split(Line, <<$:>>) of
                [Name, Value] -> headers(Rest, Headers#{Name => unescape(Value, <<>>)});
                [_] -> {error, damaged}
            end;
        [_] ->
            {error, damaged}
    end.

unescape(<<$\\, Byte, Rest/binary>>, Done) ->
    unescape(Rest, <<Done/binary, (unescaped(Byte))>>);
unescape(<<Byte, Rest/binary>>, Done) ->
    unescape(Rest, <<Done/binary, Byte>>);
unescape(<<>>, Done) ->
    Done.

unescaped($r) -> $\r;
unescaped($n) -> $\n;
unescaped($c) -> $:;
unescaped(Byte) -> Byte.

body(Rest, #{<<"content-length">> := Length, <<"crc32">> := Crc32} = Headers) ->
    Size = byte_size(Rest) - 1,
    case Rest of
        <<Body:Size/binary, 0>> ->
            case {integer_to_binary(Size), integer_to_binary(erlang:crc32(Body))} of
                {Length, Crc32} -> {ok, Headers, Body};
                _ -> {error, damaged}
            end;
        _ ->
            {error, damaged}
    end;
body(_Rest, _Headers) ->
    {error, damaged}.
