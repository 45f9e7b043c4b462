// Package smtptest is to smtpserver what httptest is to net/http: servers for
// tests, a Handler that keeps what it receives, and conversations written as
// scripts.
package smtptest
