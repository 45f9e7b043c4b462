package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

// alarm are the settings of the alarm when no mail gets through.
type alarm struct {
	command      program.Words
	url          string
	after, every time.Duration
}

const (
	defaultAfter = 30 * time.Minute
	defaultEvery = time.Hour
)

func (a *alarm) define(f *flag.FlagSet) {
	f.Var(&a.command, "alarm-command", "`program` that is run, without a shell, when the alarm is raised; repeat the flag for its\narguments. Its input is a line with the reason")
	f.StringVar(&a.url, "alarm-url", "", "http or https `URL` that gets the reason by POST, as JSON with the field text, when the alarm\nis raised")
	f.DurationVar(&a.after, "alarm-after", defaultAfter, "`age` of the oldest waiting message from which the alarm is raised")
	f.DurationVar(&a.every, "alarm-every", defaultEvery, "shortest `time` between two alarms")
}

// build returns the alarm, or nil if there is neither a command nor a URL.
func (a *alarm) build(k *program.Kit) *gateway.Alarm {
	k.Fixed("alarm-command", "alarm-url", "alarm-after", "alarm-every") // the task is made at the start
	for setting, d := range map[string]time.Duration{"alarm-after": a.after, "alarm-every": a.every} {
		if d < time.Second {
			k.Fault(setting, fmt.Errorf("%v is less than one second", d))
		}
	}
	var calls []func(context.Context, gateway.AlarmReport) error
	if len(a.command) > 0 {
		if !filepath.IsAbs(a.command[0]) {
			k.Fault("alarm-command", fmt.Errorf("%q is not the full path of a program", a.command[0]))
		} else if _, err := exec.LookPath(a.command[0]); err != nil {
			k.Fault("alarm-command", err)
		}
		calls = append(calls, gateway.NotifyCommand(a.command...))
	}
	if a.url != "" {
		if u, err := url.Parse(a.url); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			k.Fault("alarm-url", errors.New("is not an http or https URL")) // without the URL: it may have a secret
		}
		calls = append(calls, gateway.NotifyURL(a.url, nil))
	}
	if len(calls) == 0 {
		for setting, changed := range map[string]bool{"alarm-after": a.after != defaultAfter, "alarm-every": a.every != defaultEvery} {
			if changed {
				k.Fault(setting, errors.New("needs -alarm-command or -alarm-url"))
			}
		}
		return nil
	}
	return &gateway.Alarm{Queue: k.Queue, After: a.after, Every: a.every, Notify: func(ctx context.Context, r gateway.AlarmReport) error {
		var errs []error
		for _, call := range calls {
			errs = append(errs, call(ctx, r))
		}
		return errors.Join(errs...)
	}}
}
