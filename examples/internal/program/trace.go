package program

import (
	"cmp"
	"errors"
	"flag"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/trace/pipetrace"
)

// trace are the settings of pipeline tracing.
type trace struct {
	Sender   string
	Dir      string
	Duration time.Duration
	Size     Size
}

func (t *trace) define(f *flag.FlagSet) {
	f.StringVar(&t.Sender, "trace-sender", "", "`address` of the sender whose messages are traced: a copy is written before and after each agent;\n<> for reports; default: none")
	f.StringVar(&t.Dir, "trace-dir", "", "`folder` of the traces, which have whole messages; default: PipelineTracing in the folder of -logs")
	f.DurationVar(&t.Duration, "trace-duration", time.Hour, "`time` after which tracing ends by itself")
	f.Var(&t.Size, "trace-size", "`size` of all files in -trace-dir at which tracing ends; default 100M")
}

// tracer returns a Tracer with the settings.
func (s *Settings) tracer(sender string, d time.Duration) *pipetrace.Tracer {
	return &pipetrace.Tracer{
		Dir: cmp.Or(s.Trace.Dir, filepath.Join(s.logs(), "PipelineTracing")), Sender: sender, Duration: cmp.Or(d, s.Trace.Duration), MaxDir: int64(s.Trace.Size),
	}
}

// checkTrace checks the settings of tracing.
func (k *Kit) checkTrace() {
	if k.Trace.Duration <= 0 {
		k.Fault("trace-duration", errors.New("is not more than 0s"))
	} else if k.Trace.Sender != "" {
		if err := k.tracer(k.Trace.Sender, 0).Validate(); err != nil {
			k.Fault("trace-sender", errors.New(strings.TrimPrefix(err.Error(), "pipetrace: Tracer.Sender ")))
		}
	}
}

// tracing traces messages while the gateway runs. A reload or the console changes it.
type tracing struct {
	pipetrace.Switch
	settings atomic.Pointer[Settings] // in use
}

func newTracing(log *slog.Logger) *tracing {
	t := new(tracing)
	t.Logger = log
	t.New = func(sender string, d time.Duration) *pipetrace.Tracer { return t.settings.Load().tracer(sender, d) }
	return t
}

// apply applies settings. Only a change of them starts or stops tracing: an operator may
// have started or stopped it with the console.
func (t *tracing) apply(s *Settings) error {
	before := t.settings.Swap(s)
	switch {
	case before == nil && s.Trace.Sender == "", before != nil && before.Trace == s.Trace:
		return nil
	case s.Trace.Sender == "":
		t.Stop()
		return nil
	}
	return t.Start(s.Trace.Sender, 0)
}
