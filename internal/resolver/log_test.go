package resolver

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

// A lookup is logged with its result, if the context has a logger. Long answers are
// cut. Without a logger it costs no more memory than the Resolver itself.
func TestLookupLogs(t *testing.T) {
	answer := &Answer{MX: []MX{{Preference: 10, Host: "mx.example.net"}}, TXT: []string{strings.Repeat("x", 1000), "2", "3", "4", "5", "6", "7", "8", "9"}, Secure: true}
	found := Func(func(ctx context.Context, name string, t Type) (*Answer, error) {
		SetSource(ctx, "cache")
		return answer, nil
	})
	missing := Func(func(context.Context, string, Type) (*Answer, error) {
		return nil, &Error{Problem: NoSuchName, Name: "x", Type: TypeMX}
	})
	var out bytes.Buffer
	ctx := WithLogger(context.Background(), slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for _, test := range []struct {
		r    Resolver
		t    Type
		want string
	}{
		{found, TypeMX, `level=DEBUG msg="DNS lookup" name=example.net type=MX took=`},
		{found, TypeMX, `source=cache answer="10 mx.example.net, ` + strings.Repeat("x", 200) + `..., 2, 3, 4, 5, 6, 7, and 2 more" secure=true`},
		{missing, TypeMX, `error="x MX: no such domain"`},
		{found, TypeA, `error="example.net A: no such domain or record: empty answer"`},
	} {
		out.Reset()
		Lookup(ctx, test.r, "example.net.", test.t)
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("%s\nwant %s", out.String(), test.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Lookup(context.Background(), found, "example.net", TypeMX) }); n != 0 {
		t.Errorf("%v allocations without a logger", n)
	}
	if ctx := context.Background(); WithLogger(ctx, nil) != ctx || LoggerOf(ctx) != nil {
		t.Error("a nil logger is not ignored")
	}
}
