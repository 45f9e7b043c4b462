package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// entraError returns the body of an error of Microsoft Entra.
func entraError(code string, number int) string {
	return fmt.Sprintf(`{"error":%q,"error_description":"AADSTS%d: user-4711 s3cr3t. Trace ID: 0000-private Timestamp: 2026-11-29","error_codes":[%d],"trace_id":"0000-private"}`, code, number, number)
}

// Each error says what to do, and has no text of the response.
func TestErrors(t *testing.T) {
	key, _ := keyPair(t)
	for _, tt := range []struct {
		google bool
		status int
		body   string
		want   string
	}{
		{false, 401, entraError("invalid_client", 7000215), "AADSTS7000215: the client secret is wrong"},
		{false, 401, entraError("invalid_client", 7000222), "AADSTS7000222: the client secret has expired"},
		{false, 400, entraError("unauthorized_client", 700016), "AADSTS700016: the tenant does not have this application"},
		{false, 400, entraError("invalid_request", 90002), "AADSTS90002: the tenant does not exist"},
		{false, 400, entraError("invalid_grant", 50034), "AADSTS50034: the account does not exist"},
		{false, 400, entraError("invalid_grant", 65001), "AADSTS65001: the administrator has not consented"},
		{false, 401, entraError("invalid_client", 700027), "AADSTS700027: the certificate is not registered"},
		{false, 400, entraError("invalid_scope", 1002012), "AADSTS1002012: the scope is not valid"},
		{false, 400, entraError("invalid_grant", 53003), "AADSTS53003: a Conditional Access policy blocks"},
		{false, 400, entraError("invalid_client", 7654321), "AADSTS7654321: the client ID, or its secret"},
		{false, 400, entraError("private-4711", 7654321), "AADSTS7654321: see https://login.microsoftonline.com/error?code=7654321"},
		{false, 200, entraError("invalid_client", 7000215), "AADSTS7000215: the client secret is wrong"},
		{false, 400, `{"error":"unauthorized_client"}`, "unauthorized_client: the client may not get tokens in this way"},
		{false, 400, `{"error":"private-4711"}`, "HTTP status 400: the response is not a bearer token"},
		{false, 429, `private-4711`, "HTTP status 429: too many requests"},
		{false, 503, `<html>private-4711`, "HTTP status 503: the fault is at the token endpoint"},
		{true, 401, `{"error":"unauthorized_client","error_description":"Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested. private-4711"}`,
			"unauthorized_client: the service account may not act for users"},
		{true, 400, `{"error":"invalid_grant","error_description":"Invalid email or User ID"}`, "invalid_grant: the Workspace has no such user"},
		{true, 400, `{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes)"}`, "invalid_grant: the assertion is not valid now. Correct the clock"},
		{true, 400, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`, "invalid_grant: Google does not know the key"},
		{true, 400, `{"error":"invalid_grant","error_description":"private-4711"}`, "invalid_grant: the assertion or the account is not valid"},
		{true, 400, `private-4711`, "HTTP status 400: the response is not a bearer token"},
	} {
		e := newEndpoint(t, nil, says(tt.status, tt.body))
		s := source(t, e.microsoft())
		if tt.google {
			s = source(t, Google{Key: googleJSON(key, ""), Subject: "a@example.com", Host: e.host, Roots: e.roots})
		}
		_, err := s.Token(t.Context())
		var typed *Error
		if !errors.As(err, &typed) || !strings.HasPrefix(err.Error(), "no access token from "+e.host+": "+tt.want) {
			t.Errorf("%s\n%v\nwant %s", tt.body, err, tt.want)
			continue
		}
		for _, private := range []string{"4711", "private", "s3cr3t", "Trace", secret} {
			if text := fmt.Sprintf("%v %+v", err, *typed); strings.Contains(text, private) {
				t.Errorf("%q is in %s", private, text)
			}
		}
	}
}

// An endpoint that cannot be reached is named, with the cause.
func TestNoEndpoint(t *testing.T) {
	e := newEndpoint(t, nil, says(200, answer))
	m := e.microsoft()
	m.Host = "localhost:1"
	_, err := source(t, m).Token(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no access token from localhost:1: ") || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
	// The errors of net/http may have text of the response.
	bad := newEndpoint(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(c, "private-4711\r\n\r\n")
		c.Close()
	})
	if _, err := source(t, bad.microsoft()).Token(t.Context()); !errors.Is(err, errNoResponse) || strings.Contains(err.Error(), "4711") {
		t.Error(err)
	}
}

// No response puts its text into the error.
func FuzzRefusal(f *testing.F) {
	f.Add("invalid_client", "AADSTS7000215: x", []byte(`{}`))
	f.Add("", "", []byte(entraError("invalid_grant", 50034)))
	f.Add("", "", []byte(`{"error":"unauthorized_client","error_description":"any of the scopes"}`))
	f.Fuzz(func(t *testing.T, code, description string, body []byte) {
		err := refusal("login.example", &oauth2.RetrieveError{Body: body, ErrorCode: code, ErrorDescription: description})
		plain := *err
		plain.Code, plain.AADSTS, plain.Advice = "", 0, ""
		if plain != (Error{Host: "login.example"}) || err.Advice == "" || len(err.Advice) > 400 || err.AADSTS > 99999999 {
			t.Errorf("%+v", err)
		}
		if strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%q", err)
		}
	})
}
