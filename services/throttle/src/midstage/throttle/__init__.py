"""Answers: may this customer's request pass?"""
