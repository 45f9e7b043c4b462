package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// passed is a message that has passed three hosts. The clock of the second is slow.
const passed = "Return-Path: <a@example.com>\r\n" +
	"Received: from mx1.example.net (mx1.example.net [192.0.2.9])\r\n\tby mx2.example.net with ESMTPS id 2; Sat, 28 Nov 2026 10:01:14 +0000\r\n" +
	"Received: from relay.example.com ([198.51.100.7]) by mx1.example.net with ESMTPS id 1; Sat, 28 Nov 2026 09:59:58 +0000\r\n" +
	"Received: from pc.example.com (pc [192.0.2.1]) by relay.example.com with ESMTPSA; Sat, 28 Nov 2026 10:00:00 +0000\r\n" +
	"From: =?utf-8?q?J=C3=B6rg?= <a@example.com>\r\nSubject: Lunch \x1b[31m\r\nX-Spam-Score: 3\r\nX-Other: 4\r\n\r\nSubject: not a field\r\n"

// runHeader runs "relayctl header" with a standard input. There is no relay.
func runHeader(t *testing.T, in string, args ...string) *result {
	t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{"header"}, args...)
	status := run(t.Context(), args, &terminal{in: strings.NewReader(in), out: &out, err: &errs}, func(string) string { return "" })
	return &result{t, strings.Join(args, " "), status, out.String(), errs.String()}
}

// A person reads who has sent a message, its hosts, and where it waited. Its text cannot
// control the terminal.
func TestHeader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, []byte(passed), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*result{runHeader(t, "", file), runHeader(t, passed), runHeader(t, passed, "-"), runHeader(t, strings.ReplaceAll(passed, "\r\n", "\n"))} {
		r.want(0, "From: Jörg <a@example.com>\n", `Subject: Lunch \x1B[31m`, "X-Spam-Score: 3\n",
			"TIME                  DELAY  FROM                                           BY                 WITH\n"+
				"2026-11-28T10:00:00Z      -  pc.example.com (pc [192.0.2.1])                relay.example.com  ESMTPSA\n"+
				"2026-11-28T09:59:58Z    -2s  relay.example.com ([198.51.100.7])             mx1.example.net    ESMTPS\n"+
				"2026-11-28T10:01:14Z  1m16s  mx1.example.net (mx1.example.net [192.0.2.9])  mx2.example.net    ESMTPS\n",
			"First:        pc.example.com (pc [192.0.2.1])\n", "Hops:         3\n", "Time:         1m14s\n", "Longest wait: 1m16s before mx2.example.net\n")
		if strings.Contains(r.out, "X-Other") || strings.Contains(r.out, "not a field") {
			t.Error(r.out)
		}
	}
	v := runHeader(t, passed, "-json").want(0).json()
	if hops := v["hops"].([]any); len(hops) != 3 || hops[1].(map[string]any)["delaySeconds"] != -2.0 || v["totalSeconds"] != 74.0 || v["slowest"] != "mx2.example.net" {
		t.Errorf("%v", v)
	}
	runHeader(t, "Subject: x\r\n\r\n").want(0, "no host has written")
	for _, none := range []string{"", "\r\n\r\nhello", "hello world\n"} {
		runHeader(t, none).want(3)
	}
	runHeader(t, "", filepath.Join(t.TempDir(), "none")).want(1)
	runHeader(t, "", file, file).want(2)
	runHeader(t, "Subject: x\r\n"+strings.Repeat("Cc: "+strings.Repeat("a", 900)+"\r\n", 2000)).want(0, "Subject: x")
}

// FuzzHeader reads any text.
func FuzzHeader(f *testing.F) {
	f.Add(passed)
	f.Add("From: =?utf-8?q?=\r\nReceived: ; Sat, 28 Nov 2026 10:00:00 +0000\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := runHeader(t, text)
		if r.status != 0 && r.status != 3 {
			t.Errorf("%q: status %d, %s", text, r.status, r.err)
		}
		if s := strings.NewReplacer("\n", "").Replace(r.out + r.err); s != inert(s) {
			t.Errorf("%q: %q", text, s)
		}
	})
}
